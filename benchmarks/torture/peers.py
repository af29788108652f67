"""The mutations of the torture suite, as far as they have a counterpart, on SQLMesh, Snakemake and datasets' Hasher.

    python -m venv VENV && VENV/bin/pip install sqlmesh snakemake datasets
    VENV/bin/python benchmarks/torture/peers.py --write

Each mutation is a pair of texts, before and after. A cell is `ok`, `needless` (another hash for the same meaning: a
needless rebuild) or `false` (the same hash for another meaning: a false reuse); `-` where there is no counterpart. Of
SQLMesh it is the data hash, of Snakemake whether a dry run finds something to do, of datasets the hash of a function in
a script, each in a process of its own. Not ocspec: its suite is tests/property.
"""

# ruff: noqa: E501 - a table of edits, one a line

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path

FILE = Path(__file__).with_name("peers.md")
SAME, OTHER = "preserving", "changing"

SQL = "MODEL (name db.m, kind FULL); SELECT a::INT AS x, b AS y FROM db.t WHERE a > 10 AND b < 3"
PYTHON = """\
LIMIT = 10


def helper(value):
    return value * 2


def run(rows, low=1, high=2):
    kept = []
    for row in rows:
        if low < helper(row) < high + LIMIT:
            kept.append(row)
    return kept
"""
RULE = """\
from tool import helper
rule all:
    input: "out.txt"
rule make:
    input: "in.txt"
    output: "out.txt"
    params: low=1, high=2, names=["a", "b"], rate=0.0003
    run:
        kept = helper(params.low)
        open(output[0], "w").write(str(kept))
"""

Edit = tuple[str, str]
MUTATIONS: list[tuple[str, str, Edit | None, Edit | None, Edit | None]] = [
    # what is done, its kind, and the edit of SQL, of Python and of a Snakefile
    ("a comment", SAME, ("SELECT", "/* why */ SELECT"), ("    kept = []", "    kept = []  # why"), ("        kept =", "        # why\n        kept =")),
    ("white space", SAME, ("FROM db.t", "FROM   db.t"), ("kept = []", "kept  =  []"), ("kept = helper", "kept  =  helper")),
    ("a docstring", SAME, None, ("    kept = []", "    'What it does.'\n    kept = []"), ("    output:", "    message: 'What it does.'\n    output:")),
    ("moved down five lines", SAME, ("MODEL", "\n\n\n\n\nMODEL"), ("LIMIT =", "\n\n\n\n\nLIMIT ="), ("rule make", "\n\n\n\n\nrule make")),
    ("a local renamed", SAME, None, ("kept", "left"), ("kept", "left")),
    ("a type annotation", SAME, None, ("def run(rows,", "def run(rows: list,"), ("kept = helper", "kept: int = helper")),
    ("order of definitions", SAME, None, ("def helper(value):\n    return value * 2\n\n\ndef run", "def run"), ("rule all:\n    input: \"out.txt\"\n", "")),
    ("keywords in capitals or small", SAME, ("SELECT", "select"), None, None),
    ("a cast spelt otherwise", SAME, ("a::INT", "CAST(a AS INT)"), None, None),
    ("conditions in another order", SAME, ("a > 10 AND b < 3", "b < 3 AND a > 10"), None, None),
    ("a comparison turned round", SAME, ("a > 10", "10 < a"), ("low < helper(row)", "helper(row) > low"), None),
    ("a number spelt otherwise", SAME, None, ("LIMIT = 10", "LIMIT = 1_0"), ("0.0003", "3e-4")),
    ("a text quoted otherwise", SAME, None, None, ("\"a\"", "'a'")),
    ("keywords in another order", SAME, None, None, ("low=1, high=2", "high=2, low=1")),
    ("a table alias", SAME, ("FROM db.t WHERE a > 10 AND b < 3", "FROM db.t AS u WHERE u.a > 10 AND u.b < 3"), None, None),
    ("a subquery lifted out", SAME, ("FROM db.t", "FROM (SELECT * FROM db.t)"), None, None),
    ("a helper extracted", SAME, None, ("kept.append(row)", "keep(kept, row)"), None),
    ("a default written out", SAME, None, ("helper(row)", "helper(value=row)"), ("helper(params.low)", "helper(value=params.low)")),
    ("threads, memory, log", SAME, None, None, ("    output:", "    threads: 4\n    log: 'log.txt'\n    output:")),
    ("another seed of hashes", SAME, None, ("", ""), None),
    ("a threshold", OTHER, ("> 10", "> 11"), ("LIMIT = 10", "LIMIT = 11"), ("low=1", "low=3")),
    ("two parameters swapped", OTHER, None, ("low=1, high=2", "low=2, high=1"), ("low=1, high=2", "low=2, high=1")),
    ("a helper edited (Snakemake: imported)", OTHER, None, ("return value * 2", "return value * 3"), ("tool", "tool")),
    ("two columns swapped", OTHER, ("a::INT AS x, b AS y", "b AS x, a::INT AS y"), None, None),
    ("a list joined", OTHER, None, None, ('["a", "b"]', '["a;b"]')),
    ("a list in another order", OTHER, None, None, ('["a", "b"]', '["b", "a"]')),
    ("an int as a float", OTHER, None, ("LIMIT = 10", "LIMIT = 10.0"), ("low=1", "low=1.0")),
    ("an int as text", OTHER, ("> 10", "> '10'"), ("LIMIT = 10", "LIMIT = '10'"), ("low=1", "low='1'")),
    ("an operator", OTHER, ("AND", "OR"), ("value * 2", "value + 2"), ("helper(params.low)", "helper(params.high)")),
    ("another table or file", OTHER, ("db.t", "db.u"), None, ('"in.txt"', '"other.txt"')),
]  # fmt: skip


def texts(base: str, edit: Edit) -> tuple[str, str]:
    """Before and after."""
    if edit[0] and edit[0] not in base:
        raise AssertionError(edit)
    return base, base.replace(*edit) if edit[0] else base


# ---------------------------------------------------------------- the tools: same or not


def sqlmesh_sql(before: str, after: str) -> bool:
    """Whether two SQL models have one data hash."""
    from sqlmesh.core.dialect import parse
    from sqlmesh.core.model import load_sql_based_model

    return len({load_sql_based_model(parse(text)).data_hash for text in (before, after)}) == 1


def sqlmesh_python(before: str, after: str) -> bool:
    """Whether two Python models have one data hash."""
    from sqlmesh.core.model import create_python_model
    from sqlmesh.utils.metaprogramming import build_env, serialize_env

    hashes = set()
    for text in (before, after):
        path = written(text)
        module = module_of(text, path)
        env: dict[str, tuple[object, bool | None]] = {}
        build_env(module.run, env=env, name="run", path=path.parent)
        python = serialize_env(env, path=path.parent)
        model = create_python_model("db.m", "run", python, columns={"x": "int"}, kind={"name": "FULL"})
        hashes.add(model.data_hash)
    return len(hashes) == 1


def hasher(before: str, after: str) -> bool:
    """Whether datasets' Hasher gives two functions one hash."""
    end = "\n\nif __name__ == '__main__':\n    from datasets.fingerprint import Hasher\n    print(Hasher.hash(run))\n"
    hashes = set()
    for text in (before, after):
        done = subprocess.run([sys.executable, str(written(text + end))], capture_output=True, text=True, check=True)
        hashes.add(done.stdout)
    return len(hashes) == 1


def snakemake(before: str, after: str) -> bool:
    """Whether a dry run after the edit finds nothing to do; time stamps are left out of the triggers."""
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        for file in ("in.txt", "other.txt"):
            (here / file).write_text("x")
        helper = "def helper(value):\n    return value * {}\n"
        (here / "tool.py").write_text(helper.format(2))
        (here / "Snakefile").write_text(before)
        call(here, "--cores", "1")
        (here / "Snakefile").write_text(after)
        if before == after:
            (here / "tool.py").write_text(helper.format(3))
        triggers = ("code", "input", "params", "software-env")
        return "Nothing to be done" in call(here, "-n", "--rerun-triggers", *triggers)


def call(here: Path, *options: str) -> str:
    """Run snakemake in a directory."""
    command = [sys.executable, "-m", "snakemake", *options]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout + done.stderr


def written(text: str) -> Path:
    """A file of its own: these tools read the source of functions."""
    path = Path(tempfile.mkdtemp(prefix="torture-")) / "work.py"
    path.write_text(text)
    return path


def module_of(text: str, path: Path) -> types.ModuleType:
    """The text as a module that is known by its file."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("work", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["work"] = module
    spec.loader.exec_module(module)
    return module


TOOLS: list[tuple[str, str, int, str, Callable[[str, str], bool]]] = [
    ("SQLMesh, SQL", "sqlmesh", 0, SQL, sqlmesh_sql),
    ("SQLMesh, Python", "sqlmesh", 1, PYTHON, sqlmesh_python),
    ("Snakemake", "snakemake", 2, RULE, snakemake),
    ("datasets' Hasher", "datasets", 1, PYTHON, hasher),
]


def cell(kind: str, base: str, edit: Edit | None, same: Callable[[str, str], bool], what: str) -> str:
    """What a tool makes of a mutation."""
    if edit is None or (what == "another seed of hashes" and same is sqlmesh_python):
        return "-"
    before, after = texts(base, edit)
    if base is PYTHON and what == "order of definitions":
        after += "\n\ndef helper(value):\n    return value * 2\n"
    if base is PYTHON and what == "a helper extracted":
        after += "\n\ndef keep(kept, row):\n    kept.append(row)\n"
    if base is RULE and what == "order of definitions":
        after += 'rule all:\n    default_target: True\n    input: "out.txt"\n'
    try:
        found = same(before, after)
    except Exception as error:
        return f"error: {type(error).__name__}: {str(error)[-200:]}"
    if found == (kind == SAME):
        return "ok"
    return "needless" if kind == SAME else "false"


def main() -> None:
    """Print the table; with --write, keep it beside this file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    rows = []
    for what, kind, *edits in MUTATIONS:
        cells = [cell(kind, base, edits[column], same, what) for _, _, column, base, same in TOOLS]
        rows.append([what, kind, *cells])
        print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    sums = [
        f"{sum(row[k] == 'needless' for row in rows)} needless, {sum(row[k] == 'false' for row in rows)} false of"
        f" {sum(row[k] in {'ok', 'needless', 'false'} for row in rows)}"
        for k in range(2, 2 + len(TOOLS))
    ]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("sqlmesh", "snakemake", "datasets"))
    head = ["mutation", "kind", *(name for name, *_ in TOOLS)]
    table = [head, ["---"] * len(head), *rows, ["**sum**", "", *sums]]
    text = f"Measured on {datetime.date.today()} with {versions} by `benchmarks/torture/peers.py`.\n\n"
    text += "\n".join("| " + " | ".join(row) + " |" for row in table) + "\n"
    print(text)
    if write:
        FILE.write_text(text)


if __name__ == "__main__":
    main()
