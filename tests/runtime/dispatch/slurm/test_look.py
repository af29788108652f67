"""What a look makes of a job that ends while Slurm is asked; what ends before or after is `test_states.py`'s.

squeue's answer is made here: no real one can be made to come in just that moment.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ocspec.cli.states import standing
from runtime.dispatch.slurm import queue
from runtime.dispatch.slurm.run import SlurmRun
from runtime.dispatch.slurm.states import ShardState
from tests.runtime.dispatch.slurm.test_queue import line
from tests.runtime.dispatch.slurm.test_states import submission
from tests.slurm.graph import make_plan, make_run, step


@pytest.fixture
def run(tmp_path) -> SlurmRun:
    """One task of two shards, of which job 7 was queued."""
    run = make_run(tmp_path, make_plan(step("t", shards=2)))
    run.ledger.open(submission())
    run.ledger.submitted(submission(), "7")
    return run


def by_status(run: SlurmRun) -> ShardState:
    """The first shard as `ocspec status` shows it, which never waits for Slurm."""
    return standing(run.plan, run.run_dir, run.store).shards["t"][0]


def by_submit(run: SlurmRun) -> ShardState:
    """The first shard as a submit and the supervisor see it."""
    return run.look()[0][0]


LOOKS = pytest.mark.parametrize("look", [by_status, by_submit])


def asked(monkeypatch: pytest.MonkeyPatch, run: SlurmRun, meanwhile: Callable[[], None], state: str, **more: str):
    """Slurm has the first shard's job in that state, and something happens before it says so."""

    def ask(program: str, *options: str) -> str:
        meanwhile()
        return line(jobarrayid="7_0", state=state, name=f"t.{run.tag}.{submission().id}", **more)

    monkeypatch.setattr(queue, "ask", ask)


def told(run: SlurmRun, event: str, **fields: object) -> None:
    """What a node says."""
    run.ledger.journal.write(event, submission=submission().id, element=0, task="t", shard=0, **fields)


@LOOKS
def test_its_cause_is_the_one_that_its_node_told(monkeypatch, run, look):
    """An error would never be tried again."""
    cause = {"cause": "out_of_memory", "error": "needs more"}
    asked(monkeypatch, run, lambda: told(run, "shard_failed", **cause), "FAILED", exit_code="256")
    state = look(run)
    assert (state.state, state.cause, state.detail) == ("failed", "out_of_memory", "needs more")


@LOOKS
def test_its_result_counts(monkeypatch, run, finish, look):
    """Though it ended long before Slurm answered at last."""
    ended = {"exit_code": "0", "endtime": "2001-01-01T00:00:00"}
    asked(monkeypatch, run, lambda: finish(run, "t", 0), "COMPLETED", **ended)
    assert look(run).state == "finished"


@LOOKS
def test_a_start_right_after_the_answer_is_no_second_one(monkeypatch, run, look):
    """It waited when Slurm was asked, for the first time."""
    asked(monkeypatch, run, lambda: told(run, "running", job="7", host="n1", restart=0), "PENDING")
    assert look(run).state == "queued"
