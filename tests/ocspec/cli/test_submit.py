"""ocspec submit and ocspec run: what they print, keep and return."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from compiler import plan as plans
from runtime.dispatch.base import Event
from runtime.dispatch.inline import InlineDispatcher
from runtime.journal import Journal
from runtime.run import run_plan
from runtime.store import Store

from .conftest import environment


def forget(directory: Path, *tasks: str) -> None:
    """Remove what some tasks made, as if they had never run."""
    for manifest in directory.glob(".ocspec/artifacts/*/manifest.json"):
        if json.loads(manifest.read_text())["task"] in tasks:
            shutil.rmtree(manifest.parent)


def test_run_compiles_runs_and_reports(run_result) -> None:
    assert run_result.code == 0, run_result.err
    lines = run_result.out.splitlines()
    assert lines[0].startswith("tiny: 28.5 k parameters")
    assert re.fullmatch(r"14 ran, 0 reused, 0 cut off, 0 failed in [\d.]+ s", lines[-2])
    assert lines[-1] == "report: build/tiny/report.html"
    assert "tiny: 14 of 14 tasks to run in this process" in run_result.err
    assert re.search(r"s  done       anneal/train$", run_result.err, re.MULTILINE)


def test_a_second_submit_reuses_everything(ocspec, built: Path) -> None:
    result = ocspec("submit")
    assert result.code == 0
    assert result.out.startswith("0 ran, 14 reused, 0 cut off, 0 failed in ")


def test_only_what_is_missing_runs_in_a_process_of_its_own(ocspec, built: Path) -> None:
    forget(built, "pretrain/mix")
    result = ocspec("submit")
    assert result.code == 0, result.err
    assert result.out.startswith("1 ran, 13 reused,")
    assert re.search(r"running    pretrain/mix\n.*done       pretrain/mix\n", result.err)
    assert Path("build/tiny/logs/pretrain--mix/0.log").exists()


@pytest.mark.parametrize("how", [(), ("--inline",)])
def test_two_runs_at_once_tell_who_did_what(built: Path, how: tuple[str, ...]) -> None:
    """Of what both found missing, each task is told by the one that built it; to the other it is reused."""
    lost = ("pretrain/mix", "anneal/mix", "anneal/bits_per_byte-ngram")
    forget(built, *lost)
    others: list[dict] = []

    def meanwhile(event: Event) -> None:
        if event.state == "done" and not others:
            command = [sys.executable, "-m", "ocspec.cli", "submit", "--json", *how]
            done = subprocess.run(command, capture_output=True, env=environment(), text=True, check=True)
            others.append(json.loads(done.stdout))

    file = Path("build/tiny/plan.json").resolve()
    plan, store, journal = plans.load(file), Store(Path(".ocspec").resolve()), Journal(file.parent / "journal")
    before = len(journal.read())
    mine = run_plan(plan, store, InlineDispatcher(file, store.root), journal, meanwhile)
    (other,) = others
    wanted = [task.id for task in plan.tasks if task.id in lost]
    assert (list(mine.ran), other["ran"]) == (wanted[:1], wanted[1:])
    assert [event["task"] for event in journal.read()[before:] if event["event"] == "published"] == wanted
    rest = [task.id for task in plan.tasks]
    assert list(mine.reused) == [name for name in rest if name not in mine.ran]
    assert other["reused"] == [name for name in rest if name not in other["ran"]]
    assert mine.cut_off == () and other["cut_off"] == []


def test_what_was_forgotten_and_is_there_is_cut_off(ocspec, built: Path) -> None:
    shutil.rmtree(".ocspec/fingerprints")
    result = ocspec("submit", "--inline")
    assert result.out.startswith("0 ran, 0 reused, 14 cut off, 0 failed in ")


def test_a_run_as_json(ocspec, built: Path) -> None:
    summary = json.loads(ocspec("submit", "--json").out)
    assert (summary["kind"], summary["experiment"]) == ("submit", "tiny")
    assert len(summary["reused"]) == 14
    assert summary["failed"] == []


def test_run_with_json_prints_one_object(ocspec, built: Path) -> None:
    """Of a finished run, so that only the report is made again."""
    shutil.copytree(Path("build/tiny/base").read_text().strip(), "again")
    summary = json.loads(ocspec("run", "again/tiny.py", "--json").out)
    assert summary["kind"] == "run"
    assert len(summary["reused"]) == 14
    assert Path(summary["report"]).is_file()


@pytest.fixture
def failing(spec: Path) -> Path:
    """A spec whose documents are all dropped: the tokenizer has nothing to learn from."""
    spec.write_text(spec.read_text().replace('("python",)', '("rust",)'))
    return spec


def test_failures_are_listed_with_their_message_and_log(ocspec, failing: Path) -> None:
    ocspec("compile", str(failing))
    result = ocspec("submit")
    assert result.code == 1
    assert re.match(r"5 ran, 0 reused, 0 cut off, 1 failed, 8 not started in ", result.out)
    (error,) = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert error.startswith("error: tokenizer: no document of data set 'code' is left to train the tokenizer on")
    assert "code/sign kept 0 of 30 (language_not_admitted 30)" in error
    assert "\n  log: build/tiny/logs/tokenizer/0.log\n" in result.err
    assert result.err.count("cancelled  code/encode") == 1
    status = ocspec("status")
    assert re.search(r"tokenizer +failed", status.out), status.out
    assert "5 finished, 0 running, 0 queued, 1 failed, 8 missing" in status.out
    assert "\n    error: no document of data set 'code' is left to train the tokenizer" in status.out
    assert "error: no document of data set 'code' is left" in ocspec("logs", "tokenizer").out


def test_run_makes_no_report_of_a_failed_run(ocspec, failing: Path) -> None:
    result = ocspec("run", str(failing), "--inline")
    assert result.code == 1
    assert "report" not in result.out
    assert not Path("build/tiny/report.html").exists()
    assert "log:" not in result.err  # inline shards write none


def test_a_source_that_moved_since_is_refused_once(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    Path("repositories/alpha/new.py").write_text("x = 1\n")
    result = ocspec("submit")
    assert (result.code, result.out) == (1, "")
    assert result.err.count("source 'library' has changed since the plan was compiled") == 1
    assert "fix: run `ocspec compile` again" in result.err
    assert not Path("build/tiny/journal").exists()


def test_ctrl_c_stops_and_says_what_is_kept(ocspec, spec: Path) -> None:
    """In the middle of the second task, which never ends by itself."""
    ocspec("compile", str(spec))
    program = Path("python").resolve()
    endless = 'case "$*" in *" code/hold-out "*) exec sleep 600;; esac'
    program.write_text(f'#!/bin/sh\n{endless}\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    write_profile('python = "./python"', task_class="data")
    with subprocess.Popen(
        [sys.executable, "-m", "ocspec.cli", "submit", "--profile", "two"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "running    code/hold-out" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(60) == 130
    assert rest.endswith("stopped; 1 task is finished and kept; run `ocspec submit` again to go on\n")
    assert "Traceback" not in rest
    assert Store(Path(".ocspec").resolve()).root.is_dir()
    assert re.search(r"code/hold-out +missing", ocspec("status").out)
    assert "Plan: 1 reuse, 13 new" in ocspec("plan").out


def test_a_plan_whose_base_is_gone_is_refused(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    Path("build/tiny/base").unlink()
    result = ocspec("submit")
    assert result.code == 1
    assert "compile the spec again" in result.err


def write_profile(*lines: str, task_class: str = "train") -> None:
    """A profile `two` of which one class says these lines."""
    Path("ocspec.toml").write_text("\n".join([f"[profiles.two.classes.{task_class}]", *lines, ""]))


def test_a_class_is_run_by_the_python_that_its_profile_names(ocspec, built: Path) -> None:
    """A path relative to the settings: training runs there and what follows it here."""
    calls, program = built / "calls", built / "bin" / "python"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$MARK $*" >> "{calls}"\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    write_profile('python = "bin/python"', 'environment = { MARK = "marked" }')
    forget(built, "anneal/train", "anneal/bits_per_byte")
    result = ocspec("submit", "--profile", "two")
    assert result.code == 0, result.err
    looked, *ran = [line for line in calls.read_text().splitlines() if " -m runtime." in line]
    assert "marked -W ignore -m runtime.probe" in looked
    assert [line.split()[:3] + line.split()[4:6] for line in ran] == [
        ["marked", "-m", "runtime.worker", "anneal/train", "0"]
    ]
    assert "anneal/bits_per_byte" in result.err


def test_a_python_that_is_missing_is_refused_before_anything_runs(ocspec, spec: Path) -> None:
    """By submit and by its dry run; a plan whose training is finished is not held up by it."""
    write_profile('python = ".venv-training/bin/python"')
    assert ocspec("compile", str(spec)).code == 0
    for argv in (("submit", "--profile", "two"), ("submit", "--profile", "two", "--dry-run")):
        result = ocspec(*argv)
        assert (result.code, result.out) == (1, "")
        assert f"its python, {Path.cwd() / '.venv-training/bin/python'}, is not there" in result.err
        assert "class 'train' of profile 'two'" in result.err and "fix: make install-training" in result.err
    assert not Path("build/tiny/journal").exists() and not Path("build/tiny/logs").exists()


def test_inline_refuses_a_python_of_its_own(ocspec, spec: Path) -> None:
    """One process has one Python."""
    write_profile(f'python = "{Path(sys.executable).parent}/pip"')
    assert ocspec("compile", str(spec)).code == 0
    result = ocspec("submit", "--profile", "two", "--inline")
    assert (result.code, result.out) == (1, "")
    assert "inline tasks run in this process, whose Python is" in result.err


def test_what_a_profile_says_for_slurm_only_is_refused_here(ocspec, spec: Path) -> None:
    write_profile('modules = ["cuda"]')
    assert ocspec("compile", str(spec)).code == 0
    result = ocspec("submit", "--profile", "two")
    assert result.code == 1
    assert "modules can be followed on Slurm only, and this profile runs on this machine" in result.err
