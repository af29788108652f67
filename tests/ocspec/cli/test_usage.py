"""ocspec usage: from manifests after a run here, from sacct after one on a cluster, at 80 columns and as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from compiler.plan import seal
from ocspec.cli.usage import brief
from runtime.dispatch.slurm.labels import tag_of
from runtime.journal import Journal

ROWS = Path(__file__).parents[2] / "fixtures/sacct/run.txt"
JOURNAL = Journal(Path("build/tiny/journal"))
JOBS = {
    "code/sign": "18",
    "code/deduplicate/cluster": "19",
    "pretrain/train": "20",
    "anneal/train": "21",
    "anneal/bits_per_byte": "22",
    "code/hold-out": "23",  # an id that became a stranger's
    "code/refine": "24",
    "code/encode": "25",
}


def sacct(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program called sacct before all others."""
    program = folder / "bin" / "sacct"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


def submitted() -> None:
    """Write down that jobs were submitted."""
    for number, (task, job) in enumerate(JOBS.items()):
        JOURNAL.write("submitted", submission=f"{number:08x}", task=task, job=job)


@pytest.fixture
def on_slurm(ocspec, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan whose jobs are those of the rows."""
    ocspec("compile", str(spec))
    rows = ROWS.read_text().replace("tiny-1a2b3c4d", tag_of(Path("build/tiny")))
    (tmp_path / "rows").write_text(rows)
    sacct(tmp_path, f"cat {tmp_path}/rows", monkeypatch)
    submitted()


def test_a_run_here_is_counted_by_its_manifests(ocspec, built: Path) -> None:
    result = ocspec("usage")
    assert result.code == 0
    assert re.search(r"^ +1 +- +[\d.]+s +<?\d[\d.]* +\d+% +\d+% +\S+  code/sign$", result.out, re.MULTILINE)
    assert re.search(r"^tiny: 14 tasks, <?0[\d.]* CPU-hours, 0 GPU-hours$", result.out, re.MULTILINE)
    assert result.out.endswith("source: 14 tasks by manifests, which have no failed attempts\n")


def test_a_plan_that_never_ran_says_so(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    result = ocspec("usage")
    assert result.code == 1
    assert result.out == ""
    assert result.err == ("error: nothing of the plan 'tiny' has run yet\n  fix: run `ocspec submit` first\n")


def test_what_another_plan_built_is_not_counted_again(ocspec, built: Path) -> None:
    """The same spec under another name finds everything in the store."""
    ocspec("compile", "tiny.py", "--out", "build/again")
    Journal(Path("build/again/journal")).write("run", tasks=14, missing=0)
    result = ocspec("usage", "build/again")
    assert result.out == ("tiny: 0 tasks, 0 CPU-hours, 0 GPU-hours\nreused, and not in the numbers: 14 tasks\n")


def test_jobs_are_counted_by_sacct(ocspec, on_slurm) -> None:
    """At 80 columns; waiting and cancelled jobs and a stranger's have used nothing of ours."""
    result = ocspec("usage")
    assert result.code == 0
    assert [line.split()[-1] for line in result.out.splitlines()[1:6]] == [
        "code/sign",
        "code/deduplicate/cluster",
        "code/refine",
        "pretrain/train",
        "anneal/train",
    ]
    assert re.search(r"^ +4 +2\.5s +25\.0s +0\.022 +- +13% +42% +\S+  code/sign$", result.out, re.MULTILINE)
    assert re.search(r"^ 1\+1 +1\.0s +30\.0s +0\.020 +- +10% +35% +\S+  code/refine$", result.out, re.MULTILINE)
    assert re.search(r"^ +1 +1\.0s +13\.0s +0\.029 +0\.014 +6% +42% +\S+  pretrain/train$", result.out, re.MULTILINE)
    assert max(map(len, result.out.splitlines())) <= 80
    assert result.out.endswith("source: 5 tasks by sacct\n")


def test_the_same_as_json(ocspec, on_slurm) -> None:
    said = json.loads(ocspec("usage", "--json").out)
    assert (said["format_version"], said["kind"], said["experiment"]) == (1, "usage", "tiny")
    tasks = {task["task"]: task for task in said["tasks"]}
    assert tasks["code/refine"]["repeats"] == 1
    assert tasks["anneal/train"]["gpu_hours"] == pytest.approx(6 / 3600)
    assert said["totals"]["gpu_hours"] == pytest.approx((4 * 13 + 6) / 3600)
    assert said["totals"]["cpu_hours"] == pytest.approx(sum(task["cpu_hours"] for task in said["tasks"]))
    assert (said["reused"], said["trouble"]) == ([], "")


def test_without_accounting_manifests_are_read(ocspec, built: Path, tmp_path: Path, monkeypatch) -> None:
    """And it is said why."""
    sacct(tmp_path, 'echo "Slurm accounting storage is disabled" >&2; exit 1', monkeypatch)
    submitted()
    result = ocspec("usage")
    assert result.code == 0
    assert result.out.endswith(
        "source: 14 tasks by manifests, which have no failed attempts\n"
        "sacct did not answer: Slurm accounting storage is disabled\n"
    )


def test_what_others_said_cannot_change_the_terminal(ocspec, spec: Path, tmp_path: Path, monkeypatch) -> None:
    """The experiment's name in a plan from elsewhere, and sacct's words; JSON has them as they are."""
    ocspec("compile", str(spec))
    plan = Path("build/tiny/plan.json")
    plan.write_text(seal({**json.loads(plan.read_text()), "experiment": "ti\x1b[2J\nny"}))
    sacct(tmp_path, "printf 'no \\033[2J\\001 slurmdbd\\nat all' >&2; exit 1", monkeypatch)
    submitted()
    lines = ocspec("usage", "build/tiny").out.splitlines()
    assert lines[0].startswith(r"ti\x1b[2J\nny: 0 tasks, ")
    assert lines[1] == r"sacct did not answer: no \x1b[2J\x01 slurmdbd at all"
    assert json.loads(ocspec("usage", "build/tiny", "--json").out)["experiment"] == "ti\x1b[2J\nny"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (59.94, "59.9s"), (59.96, "1.0m"), (3597, "1.0h"), (48 * 3600, "2.0d"), (10**7, "115.7d")],
)
def test_times_are_short(seconds: float, text: str) -> None:
    """And no unit has as many as the next one begins with."""
    assert brief(seconds) == text
