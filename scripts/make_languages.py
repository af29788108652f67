"""Build runtime/data/languages.json from GitHub Linguist's table, as published on npm.

Not needed to run anything: the table is checked in. Run it to move to a newer Linguist:

    python scripts/make_languages.py linguist-languages@9.5.0

It needs npm and node. `linguist-languages` (MIT) is a dump of Linguist's languages.yml (MIT).

Names are Linguist's in lower case, with `cpp` for C++ and `csharp` for C#. An extension that several
languages claim goes to, in this order: the language that RESOLVED names for it; a language whose first
extension it is; a language of PREFERRED (the main languages of the paper's Table 16 first, then other popular
ones); the alphabet. Within one step the order of PREFERRED decides, then the alphabet.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "runtime" / "data" / "languages.json"
PACKAGE = "linguist-languages@9.5.0"

RENAMED = {"c++": "cpp", "c#": "csharp"}

PREFERRED = (
    *("html", "java", "python", "csharp", "javascript", "php", "c", "cpp", "go", "typescript", "ruby"),
    *("perl", "rust", "r", "swift", "kotlin", "dart", "css", "lua", "xml", "scala", "shell", "pascal"),
    *("fortran", "sql", "json", "yaml", "toml", "markdown", "restructuredtext", "text", "objective-c"),
    *("haskell", "julia", "elixir", "erlang", "clojure", "common lisp", "f#", "ocaml", "matlab", "tex"),
    *("verilog", "vhdl", "assembly", "makefile", "cmake", "dockerfile", "powershell", "batchfile"),
    *("glsl", "cuda", "groovy", "nix", "d", "tcl", "prolog", "solidity", "graphql", "protocol buffer"),
    *("ini", "csv", "diff"),
)

# Where "whose first extension it is" picks a language that few files with that extension are in.
RESOLVED = {
    ".asc": "asciidoc",
    ".asm": "assembly",
    ".cfg": "ini",
    ".cgi": "perl",
    ".cl": "opencl",
    ".cls": "tex",
    ".cp": "cpp",
    ".fcgi": "perl",
    ".for": "fortran",
    ".fpp": "fortran",
    ".frag": "glsl",
    ".fs": "f#",
    ".h": "c",
    ".hh": "cpp",
    ".inc": "php",
    ".nb": "wolfram language",
    ".odin": "odin",
    ".plt": "gnuplot",
    ".pro": "prolog",
    ".rest": "restructuredtext",
    ".sc": "scala",
    ".scd": "supercollider",
    ".star": "starlark",
    ".t": "perl",
    ".toc": "tex",
    ".trigger": "apex",
    ".v": "verilog",
    ".yaml": "yaml",
    ".yy": "yacc",
}

# Linguist's "markup" is code (HTML, CSS ...). These exceptions, and SQL and diffs as code, follow the type
# map published with the paper (opc_data_filtering, artifacts/program_to_type.py); CSS, which is data there,
# does not.
TYPES = {
    "bibtex": "data",
    "diff": "code",
    "jupyter notebook": "data",
    "mdx": "text",
    "postscript": "data",
    "rich text format": "text",
    "roff": "text",
    "roff manpage": "text",
    "sql": "code",
    "tex": "text",
}

READ = """
import { pathToFileURL } from 'node:url';
const table = await import(pathToFileURL(process.argv[1] + '/index.js'));
console.log(JSON.stringify(Object.values(table.default ?? table)));
"""


def run(directory: Path, *command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout


def download(package: str, directory: Path) -> tuple[str, list[dict[str, Any]]]:
    """The version that npm resolves `package` to, and its languages."""
    archive = run(directory, "npm", "pack", package).split()[-1]
    with tarfile.open(directory / archive) as tar:
        tar.extractall(directory, filter="data")
    root = directory / "package"
    version = json.loads((root / "package.json").read_text())["version"]
    return version, json.loads(run(directory, "node", "--input-type=module", "--eval", READ, str(root)))


def canonical(name: str) -> str:
    """The name used everywhere in this project."""
    return RENAMED.get(name.lower(), name.lower())


def doc_type(name: str, kind: str) -> str:
    """`code`, `data` or `text` from Linguist's programming, markup, data and prose."""
    return TYPES.get(name) or {"programming": "code", "markup": "code", "data": "data", "prose": "text"}[kind]


def preference(language: dict[str, Any], extension: str) -> tuple[bool, int, str]:
    """Sort key of a language that claims `extension`: the least wins."""
    name = canonical(language["name"])
    primary = [known.lower() for known in language["extensions"][:1]] == [extension]
    rank = PREFERRED.index(name) if name in PREFERRED else len(PREFERRED)
    return not primary, rank, name


def resolve(languages: list[dict[str, Any]]) -> dict[str, str]:
    """Extension (lower case, with its dot) -> the one language that gets it."""
    claims: dict[str, list[dict[str, Any]]] = {}
    for language in languages:
        for extension in {known.lower() for known in language.get("extensions", ())}:
            claims.setdefault(extension, []).append(language)
    chosen = {}
    for extension, claimants in sorted(claims.items()):
        best = min(claimants, key=lambda language: preference(language, extension))
        chosen[extension] = RESOLVED.get(extension, canonical(best["name"]))
    return chosen


def main(package: str) -> None:
    """Download the table and write TARGET."""
    with tempfile.TemporaryDirectory() as scratch:
        version, languages = download(package, Path(scratch))
    types = {canonical(one["name"]): doc_type(canonical(one["name"]), one["type"]) for one in languages}
    filenames = {
        filename: canonical(one["name"])
        for one in sorted(languages, key=lambda one: one["name"].lower(), reverse=True)
        for filename in one.get("filenames", ())
    }
    table = {
        "source": f"npm linguist-languages {version} (MIT), from GitHub Linguist (MIT)",
        "types": dict(sorted(types.items())),
        "extensions": resolve(languages),
        "filenames": dict(sorted(filenames.items())),
    }
    TARGET.write_text(json.dumps(table, ensure_ascii=False, indent=0) + "\n")


if __name__ == "__main__":
    main(*(sys.argv[1:2] or [PACKAGE]))
