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


@pytest.mark.parametrize("verb", [(), *((verb,) for verb in VERBS)])
def test_help_loads_no_engine_and_not_the_language(verb: tuple[str, ...]) -> None:
    code = (
        "import json, sys\n"
        "before = set(sys.modules)\n"  # the environment's own hooks load what they please
        "from ocspec.cli import main\n"
        f"try: main([*{verb!r}, '--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "print(json.dumps(list(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "ocspec.cli.compile" in loaded
    assert not loaded.intersection(HEAVY)


def test_help_takes_less_than_its_budget() -> None:
    """Of processor time, the interpreter's start included; the best of five."""
    check(
        min(cpu_seconds(lambda: subprocess.run(help_of(), capture_output=True, check=True)) for _ in range(5)), LIMIT_S
    )


def test_help_fits_eighty_columns() -> None:
    for verb in VERBS:
        done = subprocess.run(
            help_of(verb), capture_output=True, text=True, check=True, env={"COLUMNS": "80", "PATH": ""}
        )
        assert max(map(len, done.stdout.splitlines())) <= 80, verb
