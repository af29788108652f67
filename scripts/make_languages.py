r"""Build runtime/data/languages.json and heuristics.json from GitHub Linguist's own tables (MIT).

Not needed to run anything: both are checked in. Run it to move to a newer Linguist:

    python scripts/make_languages.py REVISION
    python scripts/make_languages.py REVISION path/to/a/clone/of/linguist

It needs git and PyYAML. REVISION is a tag or a commit of Linguist; the same revision gives the same bytes.

**Names** are Linguist's in lower case, with `cpp` for C++ and `csharp` for C#.

**Extensions.** Where several languages claim an extension, the content decides (below). Where that does not
decide, or only the name is known, the first of the claimants counts, in this order: the language that RESOLVED
names for the extension; a language whose first extension it is; a language of PREFERRED (the main languages of
the paper's Table 16 first, then other popular ones); the alphabet. Within one step the order of PREFERRED
decides, then the alphabet. So do the claimants of one interpreter, without the first two steps. A file name
that several languages claim goes by the alphabet, or to the content where heuristics name it (`.eslintrc`).

**Patterns.** heuristics.yml is written for Ruby's engine. `translated` turns what means something else in RE2
into what means the same (`\s` holds a vertical tab, `m` lets a dot match line ends, `^` and `$` are at lines);
what it cannot turn is an error, and then the pattern is written anew in REWRITTEN, once, by hand. An entry
there names the checksum of the pattern it stands for, so that a later Linguist is not served an old one.
Where a rule has both `pattern` and `negative_pattern`, both must hold, as the file's own comment says
(Linguist's loader reads only the first).
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import re2
import yaml

DATA = Path(__file__).resolve().parent.parent / "runtime" / "data"
REPOSITORY = "https://github.com/github-linguist/linguist"
REVISION = "b45dbe9b2825a43285bcd035861be91cc0a7299e"  # 2026-08-20, after the tag v9.6.0

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
KINDS = {"programming": "code", "markup": "code", "data": "data", "prose": "text"}


class Rewrite(NamedTuple):
    """A pattern written anew for RE2: the checksum of Linguist's, and the new one."""

    checksum: str
    pattern: str


_SPACE = r"\t\n\v\f\r "
_NO_SPACE = r"\x00-\x08\x0e-\x1f!-\xff"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\b"
_BLOCKER = r"(?:[Aa]d[Bb]lock(?:[ \t][Pp]lus)?|u[Bb]lock(?:[ \t][Oo]rigin)?|[Aa]d[Gg]uard)(?:[ \t]\d+(?:\.\d+)*)?"
_OPTION = r"\w*(?:[ \t]*=(?:[^\\\t\n\v\f\r ]|\\.)*)?"
_SEPARATED = rf"(?:[ \t]*:[ \t]*|[ \t]){_OPTION}"

REWRITTEN = {
    # An intersection of two classes: white space within a line.
    (".pod", "Pod 6"): Rewrite("712cdb1421e6", r"(?m)^[ \t\v\f]*=(comment|begin pod|begin para|item\d+)"),
    # "No brace before": a text starts there, or something else stands there.
    (".tpl", "Smarty"): Rewrite("966193f40b5c", r"(?:\A|[^{])\{(\*[\t\n\v\f\r ]|\$|\/)?\w*\b"),
    # A list of hosts after an address ends at the end of the line or before what cannot be a host.
    (".txt", "Hosts File"): Rewrite(
        "cc094871efc9",
        rf"(?m)^{_OCTET}(?:\.{_OCTET}){{3}}(?:/(?:3[0-2]|[12]?\d)\b)?"
        r"(?:[ \t]+\w(?:-*\.?\w)*)*"
        r"(?:$|[\n\v\f\r]|[ \t]+(?:$|[^\w \t]))",
    ),
    # The subpattern `version` in full; nothing that follows its repetition could begin another one.
    (".txt", "Adblock Filter List"): Rewrite("b8b76168e438", rf"\A\[{_BLOCKER}(?:[ \t]?;[ \t]?{_BLOCKER})*\]"),
    # Without the condition that the form `vim: set ...:` is closed by a colon.
    (".txt", "Vim Help File"): Rewrite(
        "e065ca943f75",
        r"(?m)(?:(?:^|[ \t])(?:vi(?:m(?:[<=>]?[0-9]+)?)?|Vim(?:[<=>]?[0-9]+)?)|[ \t]ex)"
        rf"(?::[ \t]*{_OPTION}(?:{_SEPARATED})*[ \t:]|:)"
        rf"(?:filetype|ft|syntax)[ \t]*=help(?:$|[:{_SPACE}])",
    ),
}

Languages = Mapping[str, Mapping[str, Any]]
Rule = dict[str, Any]


class Untranslatable(ValueError):
    """A pattern that means nothing, or something else, in RE2."""


# ---------------------------------------------------------------- reading Linguist


def git(*arguments: str) -> str:
    """What git prints."""
    return subprocess.run(("git", *arguments), check=True, capture_output=True, text=True).stdout.strip()


def download(revision: str, repository: str, directory: str) -> tuple[str, dict[str, Any]]:
    """What to call this Linguist, and its tables languages, heuristics and generic, parsed."""
    git("init", "--quiet", directory)
    git("-C", directory, "fetch", "--quiet", "--depth=1", repository, revision)
    git("-C", directory, "checkout", "--quiet", "FETCH_HEAD")
    files = Path(directory) / "lib" / "linguist"
    names = ("languages", "heuristics", "generic")
    tables = {name: yaml.safe_load((files / f"{name}.yml").read_text(encoding="utf-8")) for name in names}
    version = (files / "VERSION").read_text(encoding="utf-8").strip()
    commit = git("-C", directory, "rev-parse", "HEAD")
    return f"GitHub Linguist {version} (MIT), commit {commit}", tables


def canonical(name: str) -> str:
    """The name used everywhere in this project."""
    return RENAMED.get(name.lower(), name.lower())


# ---------------------------------------------------------------- names


def doc_type(name: str, kind: str) -> str:
    """`code`, `data` or `text` from Linguist's programming, markup, data and prose."""
    return TYPES.get(canonical(name)) or KINDS[kind]


def rank(name: str) -> tuple[int, str]:
    """Sort key of a language among others that claim the same: the least wins."""
    known = canonical(name)
    return PREFERRED.index(known) if known in PREFERRED else len(PREFERRED), known


def claims(languages: Languages, field: str) -> dict[str, list[str]]:
    """Each value of a field -> the languages that list it, the best first."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, language in languages.items():
        for value in language.get(field, ()):
            found[value.lower() if field == "extensions" else value].add(name)
    return {value: sorted(names, key=rank) for value, names in sorted(found.items())}


def extensions(languages: Languages) -> dict[str, list[str]]:
    """Extension (lower case, with its dot) -> the languages that claim it, first the one that gets it by name."""

    def order(name: str, extension: str) -> tuple[bool, bool, tuple[int, str]]:
        first = [known.lower() for known in languages[name]["extensions"][:1]] == [extension]
        return RESOLVED.get(extension) != canonical(name), not first, rank(name)

    found = claims(languages, "extensions")
    missing = {extension: name for extension, name in RESOLVED.items() if name not in map(canonical, found[extension])}
    if missing:
        raise SystemExit(f"RESOLVED names languages that do not claim the extension: {missing}")
    return {
        extension: [canonical(name) for name in sorted(names, key=lambda name: order(name, extension))]
        for extension, names in found.items()
    }


def aliases(languages: Languages) -> dict[str, str]:
    """Other names of languages, as sources may give them, in lower case."""
    found = {}
    for name, language in languages.items():
        for alias in (name.lower(), name.lower().replace(" ", "-"), *language.get("aliases", ())):
            if alias != canonical(name):
                found[alias] = canonical(name)
    return dict(sorted(found.items()))


def names_table(source: str, tables: Mapping[str, Any]) -> dict[str, Any]:
    """languages.json."""
    languages = tables["languages"]
    types = {canonical(name): doc_type(name, language["type"]) for name, language in languages.items()}
    filenames = {value: sorted(map(canonical, names)) for value, names in claims(languages, "filenames").items()}
    interpreters = {value: list(map(canonical, names)) for value, names in claims(languages, "interpreters").items()}
    by_content = {extension for block in tables["heuristics"]["disambiguations"] for extension in block["extensions"]}
    undecided = {value: names for value, names in filenames.items() if value in by_content and len(names) > 1}
    known = {**{extension.lower(): [] for extension in by_content}, **undecided, **extensions(languages)}
    return {
        "source": source,
        "types": dict(sorted(types.items())),
        "extensions": dict(sorted(known.items())),
        "generic": sorted(tables["generic"]["extensions"]),
        "filenames": {value: names[0] for value, names in filenames.items() if value not in undecided},
        "interpreters": interpreters,
        "aliases": {alias: name for alias, name in aliases(languages).items() if alias not in types},
    }


# ---------------------------------------------------------------- patterns

_SAME_ESCAPES = frozenset("wWdDbBAzntrfv")
_TOKEN = re.compile(
    r"(?P<escape>\\.)|(?P<flags>\(\?(?P<on>[a-z]*)(?:-(?P<off>[a-z]+))?(?P<end>[:)]))|(?P<group>\(\?)"
    r"|(?P<possessive>(?:[*+?]|\{\d*,?\d*\})\+)|(?P<close>\])|(?P<negated>\[\^?\]?)|(?P<and>&&)|(?P<other>.)",
    re.DOTALL,
)


def translated(pattern: str) -> str:
    r"""A Ruby pattern as one of RE2 that finds the same texts, for options that do not capture.

    >>> translated(r"^\s*(?m:a.b)[\s,]"), translated(r"(?i)^x(?-m:y)\R")
    ('(?m)^[\\t\\n\\v\\f\\r ]*(?s:a.b)[\\t\\n\\v\\f\\r ,]', '(?m)(?i)^x(?-s:y)(?:\\r\\n|[\\n\\v\\f\\r])')

    Raises Untranslatable where RE2 has no such thing.
    """
    out, inside = ["(?m)"], False
    for token in _TOKEN.finditer(pattern):
        text = token.group()
        if token["escape"]:
            text = _escape(text[1], inside)
        elif inside:
            if token["and"] or token["negated"]:
                raise Untranslatable(f"{text!r} in a class of {pattern!r}")
            inside = not token["close"]
        elif token["flags"]:
            text = _flags(token["on"], token["off"] or "", token["end"])
        elif token["group"] or token["possessive"]:
            raise Untranslatable(f"{pattern[token.start() : token.end() + 2]!r} in {pattern!r}")
        else:
            inside = bool(token["negated"])
        out.append(text)
    return "".join(out)


def _escape(letter: str, inside: bool) -> str:
    if letter == "s":
        return _SPACE if inside else f"[{_SPACE}]"
    if letter == "S":
        return _NO_SPACE if inside else f"[^{_SPACE}]"
    if letter == "R" and not inside:
        return r"(?:\r\n|[\n\v\f\r])"
    if letter.isalnum() and letter not in _SAME_ESCAPES:
        raise Untranslatable(f"\\{letter}{' in a class' if inside else ''}")
    return f"\\{letter}"


def _flags(on: str, off: str, end: str) -> str:
    """Ruby's m is RE2's s."""
    if not set(on + off) <= set("im"):
        raise Untranslatable(f"flags {on}-{off}")
    shown = (on + (f"-{off}" if off else "")).replace("m", "s")
    return f"(?{shown}{end}"


def any_of(patterns: str | list[str], rewrite: Rewrite | None) -> str:
    """One pattern for RE2 that finds what any of these finds."""
    if rewrite:
        checksum = hashlib.sha256(str(patterns).encode()).hexdigest()[:12]
        if checksum != rewrite.checksum:
            raise SystemExit(f"REWRITTEN stands for another pattern than {patterns!r} (now {checksum})")
        result = rewrite.pattern
    else:
        several = [patterns] if isinstance(patterns, str) else patterns
        parts = [translated(pattern) for pattern in several]
        result = parts[0] if len(parts) == 1 else "|".join(f"(?:{part})" for part in parts)
    options = re2.Options()
    options.log_errors, options.encoding = False, re2.Options.Encoding.LATIN1
    re2.compile(result.encode(), options)
    return result


def conditions(rule: Rule, named: Mapping[str, Any], rewrite: Rewrite | None) -> dict[str, list[str]]:
    """What must be found (`all`) and what must not (`none`)."""
    if "and" in rule:
        parts = [conditions(part, named, rewrite) for part in rule["and"]]
        return {kind: [pattern for part in parts for pattern in part[kind]] for kind in ("all", "none")}
    wanted = [rule["pattern"]] if "pattern" in rule else []
    if "named_pattern" in rule:
        wanted.append(named[rule["named_pattern"]])
    unwanted = [rule["negative_pattern"]] if "negative_pattern" in rule else []
    return {
        "all": [any_of(patterns, rewrite) for patterns in wanted],
        "none": [any_of(patterns, None) for patterns in unwanted],
    }


def decide(named: str | list[str], claimants: list[str]) -> str:
    """The language of a rule; of several, the first that the extension would get by name."""
    found = [canonical(name) for name in ([named] if isinstance(named, str) else named)]
    return next((name for name in claimants if name in found), found[0])


def heuristics_table(source: str, tables: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """heuristics.json."""
    heuristics, left = tables["heuristics"], dict(REWRITTEN)
    found = {}
    for block in heuristics["disambiguations"]:
        rules = []
        for rule in block["rules"]:
            key = (block["extensions"][0], str(rule["language"]))
            condition = conditions(rule, heuristics["named_patterns"], left.pop(key, None))
            claimants = names["extensions"].get(block["extensions"][0], [])
            rules.append({"language": decide(rule["language"], claimants), **condition})
        unknown = {rule["language"] for rule in rules} - set(names["types"])
        if unknown:
            raise SystemExit(f"heuristics name languages that do not exist: {unknown}")
        found.update({extension.lower(): rules for extension in block["extensions"]})
    if left:
        raise SystemExit(f"REWRITTEN has patterns that no rule has: {list(left)}")
    return {"source": source, "rules": dict(sorted(found.items()))}


def write(name: str, table: dict[str, Any], sections: Iterable[str]) -> None:
    """A table as JSON, an entry of a section to a line."""
    lines = [f'"source": {json.dumps(table["source"])}']
    for section in sections:
        entries = table[section]
        if isinstance(entries, dict):
            body = ",\n".join(f"{json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in entries.items())
            lines.append(f'"{section}": {{\n{body}\n}}')
        else:
            lines.append(f'"{section}": {json.dumps(entries)}')
    (DATA / name).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main(revision: str = REVISION, repository: str = REPOSITORY) -> None:
    """Download the tables and write both files."""
    with tempfile.TemporaryDirectory() as scratch:
        source, tables = download(revision, repository, scratch)
    names = names_table(source, tables)
    rules = heuristics_table(source, tables, names)
    write("languages.json", names, list(names)[1:])
    write("heuristics.json", rules, list(rules)[1:])


if __name__ == "__main__":
    main(*sys.argv[1:])
