"""What submit on Slurm says, without a cluster; `tests/slurm/test_cli.py` has the real ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from compiler.errors import UserError, UserErrors
from ocspec.cli import on_slurm
from runtime.dispatch.slurm.ledger import Submission
from runtime.dispatch.slurm.run import SlurmRun, Submitted
from runtime.holder import Holder
from runtime.lease import LeaseHeld
from tests.slurm.graph import make_plan, make_run, step

PLAN = make_plan(step("sign", shards=9), step("group", ["sign"]), step("pack", ["group"]))


@pytest.fixture
def run(tmp_path: Path, monkeypatch) -> SlurmRun:
    monkeypatch.setattr(SlurmRun, "check", lambda self: [])
    return make_run(tmp_path, PLAN)


def raising(error: BaseException):
    def submit(self: SlurmRun) -> Submitted:
        raise error

    return submit


def one(task: str, *elements: tuple[int, ...]) -> Submission:
    return Submission(id=task, task=task, task_class="data", plan="", store="", run_dir="", elements=elements)


def test_another_submit_is_one_message(run: SlurmRun, monkeypatch) -> None:
    held = LeaseHeld(run.run_dir / "slurm" / "submit.lease", Holder.this_process())
    monkeypatch.setattr(SlurmRun, "submit", raising(held))
    with pytest.raises(UserError, match=r"^.*another submit of this plan is going on: process \d+ on ") as caught:
        on_slurm.queue(run)
    assert "lease" not in str(caught.value)


def test_ctrl_c_says_that_what_is_queued_stays(run: SlurmRun, monkeypatch) -> None:
    monkeypatch.setattr(SlurmRun, "submit", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt, match="what is queued stays: `ocspec submit` again goes on"):
        on_slurm.queue(run)


def test_what_comes_next_fits_eighty_columns() -> None:
    assert max(map(len, on_slurm.NEXT.splitlines())) <= 80


def test_all_that_slurm_cannot_run_is_told_at_once(run: SlurmRun, monkeypatch) -> None:
    monkeypatch.setattr(SlurmRun, "check", lambda self: [UserError("too wide"), UserError("too long")])
    with pytest.raises(UserErrors) as caught:
        on_slurm.queue(run)
    assert [problem.what for problem in caught.value.problems] == ["too wide", "too long"]


@pytest.mark.parametrize(
    ("made", "missing", "expected"),
    [
        (None, 0, ["graph: nothing to do; all 3 tasks are finished"]),
        (
            Submitted(submissions=(one("sign", (0, 1), (2,)), one("group", (0,)))),
            2,
            ["graph: 2 tasks queued as 3 jobs; 1 task was finished before"],
        ),
        (Submitted(live=4), 3, ["graph: nothing new to queue; 4 shards were queued or running already"]),
        (
            Submitted(submissions=(one("sign", (0,)),), blocked=("group", "a\nb", "c", "d", "e")),
            3,
            [
                "graph: 1 task queued as 1 job",
                "not queued, because a task before failed: group, a\\nb, c, d and 1 more",
            ],
        ),
    ],
)
def test_what_was_queued_is_one_sentence(made: Submitted | None, missing: int, expected: list[str]) -> None:
    assert on_slurm.sentences(PLAN, made, missing) == expected
