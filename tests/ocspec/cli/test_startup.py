"""`ocspec --help` is quick, because nothing heavy is loaded for it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ocspec.cli.parser import VERBS
from tests.pace import check, cpu_seconds

HEAVY = (
    "duckdb",
    "torch",
    "submitit",
    "pyarrow",
    "pydantic",
    "numpy",
    "rich",
    "cattrs",
    "jinja2",
    "importlib.metadata",
)
LIMIT_S = 0.3


def help_of(*verb: str) -> list[str]:
    return [sys.executable, "-m", "ocspec.cli", *verb, "--help"]


HELPS = [(), *((verb,) for verb in VERBS)]

# The children are forked before anything of ocspec is loaded: each is as an interpreter that has just started.
ASK = """
import contextlib, io, json, os, sys
for verb in json.loads(sys.argv[1]):
    if os.fork() == 0:
        before, said = set(sys.modules), io.StringIO()  # the environment's own hooks load what they please
        with contextlib.redirect_stdout(said):
            from ocspec.cli import main
            try: main([*verb, '--help'])
            except SystemExit as end: assert not end.code
        print(json.dumps([sorted(set(sys.modules) - before), said.getvalue()]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, verb
"""


@pytest.fixture(scope="module")
def helps() -> dict[tuple[str, ...], tuple[list[str], str]]:
    """What each `--help` loads, and what it says on 80 columns without anything else in the environment."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(HELPS)],
        capture_output=True, text=True, check=True, env={"COLUMNS": "80", "PATH": ""},
    )  # fmt: skip
    return dict(zip(HELPS, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("verb", HELPS)
def test_help_loads_no_engine_and_not_the_language(
    helps: dict[tuple[str, ...], tuple[list[str], str]], verb: tuple[str, ...]
) -> None:
    loaded, _ = helps[verb]
    assert "ocspec.cli.compile" in loaded
    assert not set(loaded).intersection(HEAVY)


def test_help_takes_less_than_its_budget() -> None:
    """Of processor time, the interpreter's start included; the best of five."""
    check(
        min(cpu_seconds(lambda: subprocess.run(help_of(), capture_output=True, check=True)) for _ in range(5)), LIMIT_S
    )


def test_help_fits_eighty_columns(helps: dict[tuple[str, ...], tuple[list[str], str]]) -> None:
    for verb in VERBS:
        _, said = helps[verb,]
        assert max(map(len, said.splitlines())) <= 80, verb
