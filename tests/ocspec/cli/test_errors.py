"""What goes wrong: one message per problem, an exit code, and never a bare traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import compiler.load
from ocspec.cli import schema

TWO_PROBLEMS = """\
from ocspec import *

one = Admit(max_byte=3)
two = Batches(steps=0, global_batch=1, sequence_length=1)
"""


def test_every_problem_of_a_spec_is_listed_with_its_line(ocspec, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.py").write_text(TWO_PROBLEMS)
    result = ocspec("compile", "bad.py")
    assert (result.code, result.out) == (1, "")
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert errors[0].startswith("error: bad.py:3: Admit.max_byte")
    assert errors[1].startswith("error: bad.py:4: Batches.steps")
    assert "did you mean 'max_bytes'?" in result.err


def test_a_spec_that_raises_is_the_users_error(ocspec, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.py").write_text("x = 1\ny = x / 0\n")
    result = ocspec("compile", "bad.py")
    assert result.code == 1
    assert "bad.py:2: the spec raised ZeroDivisionError" in result.err
    assert "Traceback" not in result.err


def test_a_spec_error_outside_of_loading_is_listed_too(ocspec, monkeypatch) -> None:
    def load(reference: str) -> None:
        from ocspec import Batches

        Batches(steps=0, global_batch=0, sequence_length=1)

    monkeypatch.setattr(compiler.load, "load_arms", load)
    result = ocspec("compile", "a.py")
    assert result.code == 1
    assert result.err.count("error: ") == 2


@pytest.mark.parametrize(
    "verb", [["compile"], ["plan"], ["run"], ["diff", "tiny.py"], ["compile", "--sweep=shards=1,2"]]
)
def test_an_imported_experiment_is_not_taken_for_the_files_own(ocspec, spec: Path, verb: list[str]) -> None:
    """One message with the names to choose from; nothing is written."""
    Path("arms.py").write_text(
        "from tiny import experiment\none = experiment.replace(name='one')\ntwo = experiment.replace(name='two')\n"
    )
    result = ocspec(*verb, "arms.py")
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "error: arms.py: `experiment` is of another file there, and the file has its own (one, two)\n"
        "  fix: name one: arms.py:one, arms.py:two; or the other file's: arms.py:experiment\n"
    )
    assert not Path("build").exists()


def test_nothing_compiled_yet_says_what_to_do(ocspec, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for verb in ("submit", "status", "plan", "report"):
        result = ocspec(verb)
        assert result.code == 1
        assert "run `ocspec compile SPEC`" in result.err


@pytest.mark.parametrize("verb", ["plan", "status", "submit", "report"])
def test_a_store_that_is_a_file_is_no_empty_store(ocspec, spec: Path, monkeypatch, verb: str) -> None:
    """Nor is a directory below one; whoever said it, said it is."""
    ocspec("compile", "tiny.py")
    result = ocspec(verb, "--store", "tiny.py")
    said = "error: {}: a store is a directory, and {} is none\n  fix: {}\n"
    assert (result.code, result.out) == (1, "")
    assert result.err == said.format("tiny.py", "tiny.py", "give another --store")
    below = ocspec(verb, "--store", "tiny.py/store")
    assert below.err == said.format("tiny.py/store", "tiny.py", "give another --store")
    monkeypatch.setenv("OCSPEC_STORE", "tiny.py")
    assert ocspec(verb).err == said.format("tiny.py", "tiny.py", "set OCSPEC_STORE to a directory, or give --store")


def test_a_spec_where_a_plan_is_wanted_says_so(ocspec, spec: Path) -> None:
    result = ocspec("submit", str(spec))
    assert result.code == 1
    assert "this is a spec, not a plan" in result.err
    assert "ocspec compile tiny.py" in result.err


def test_an_unknown_profile_lists_those_that_exist(ocspec, spec: Path) -> None:
    Path("ocspec.toml").write_text("[profiles.cluster]\ndispatch = 'slurm'\n")
    result = ocspec("compile", str(spec), "--profile", "clutser")
    assert result.code == 1
    assert "there are: cluster, local" in result.err
    assert "did you mean 'cluster'?" in result.err


def broken(args: object) -> int:
    raise RuntimeError("a bug\nwith two lines")


def test_a_bug_is_one_line_and_exit_code_70(ocspec, monkeypatch) -> None:
    monkeypatch.setattr(schema, "run", broken)
    result = ocspec("schema")
    assert (result.code, result.out) == (70, "")
    assert "error: internal error: RuntimeError: a bug with two lines\n" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("argv", [("--traceback", "schema"), ("schema", "--traceback")])
def test_a_bugs_traceback_is_shown_on_request(ocspec, monkeypatch, argv: tuple[str, ...]) -> None:
    monkeypatch.setattr(schema, "run", broken)
    result = ocspec(*argv)
    assert result.code == 70
    assert "Traceback" in result.err


def test_a_bugs_traceback_is_shown_where_the_environment_asks(ocspec, monkeypatch) -> None:
    monkeypatch.setattr(schema, "run", broken)
    monkeypatch.setenv("OCSPEC_TRACEBACK", "1")
    assert "Traceback" in ocspec("schema").err
    monkeypatch.setenv("OCSPEC_TRACEBACK", "0")
    assert "Traceback" not in ocspec("schema").err


def test_an_interrupt_is_one_line_and_exit_code_130(ocspec, monkeypatch) -> None:
    def stop(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(schema, "run", stop)
    assert ocspec("schema") == (130, "", "stopped\n")


def test_a_reader_that_goes_away_is_quiet() -> None:
    """As in `ocspec schema | head -1`, whose pipe may be closed before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "ocspec.cli", "schema"], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_the_former_name_of_a_field_is_one_line_on_stderr(spec: Path) -> None:
    """The spec compiles all the same."""
    text = spec.read_text() + (
        "from typing import Annotated\n"
        "from ocspec.base import Aka\n"
        "class Mine(Admit):\n"
        "    ceiling: Annotated[int, Aka('limit')] = 1\n"
        "Mine(limit=3)\n"
    )
    spec.write_text(text)
    command = [sys.executable, "-m", "ocspec.cli", "compile", str(spec)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = f"tiny.py:{text.count(chr(10))}"
    assert f"warning: {line}: Mine.limit is called 'ceiling' now; the old name still works\n" in done.stderr
    assert (done.returncode, done.stderr.count("warning")) == (0, 1)
