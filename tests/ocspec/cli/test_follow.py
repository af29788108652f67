"""Following a run on Slurm by its looks, without a cluster: what is shown, when it ends, what it comes to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from ocspec.cli import follow
from ocspec.cli.follow import Follower
from ocspec.cli.progress import Lines, Tracker
from runtime.dispatch.slurm.labels import Label
from runtime.dispatch.slurm.queue import Row, Snapshot
from runtime.dispatch.slurm.run import SlurmRun, Submitted
from runtime.dispatch.slurm.states import ShardState
from runtime.holder import Holder
from runtime.lease import LeaseHeld
from tests.slurm.graph import make_plan, make_run, step

PLAN = make_plan(step("sign", shards=2), step("group", ["sign"]))
GUARDED = Snapshot({("00000001", 0): (Row(job_id="9", state="PENDING", label=Label("r", "supervisor", "00000001")),)})


def state(task: str, shard: int, kind: str, **more) -> ShardState:
    return ShardState(task_id=task, shard=shard, state=kind, **more)


def looks(*kinds: str) -> Iterator[tuple[list[ShardState], Snapshot]]:
    """`"running queued queued"`: both shards of sign, then group; with a `+` a supervisor is in the queue."""
    for text in kinds:
        first, second, group = text.removesuffix("+").split()
        failed = {"cause": "timeout", "detail": "too slow", "submission": "5"}
        yield (
            [
                state("sign", 0, first),
                state("sign", 1, second, **(failed if second == "failed" else {})),
                state("group", 0, group),
            ],
            GUARDED if text.endswith("+") else Snapshot(),
        )


@pytest.fixture
def run(tmp_path: Path, monkeypatch) -> SlurmRun:
    monkeypatch.setattr(follow.time, "sleep", lambda seconds: None)
    return make_run(tmp_path, PLAN)


def followed(run: SlurmRun, monkeypatch, *kinds: str) -> list[ShardState]:
    given = looks(*kinds)
    monkeypatch.setattr(SlurmRun, "look", lambda self: next(given))
    tracker = Tracker(PLAN, run.run_dir, 2)
    with Lines(tracker) as show:
        states = Follower(run, tracker, show).to_the_end()
    assert next(given, None) is None, "it stopped too early"
    return states


def test_each_change_is_a_line_and_the_end_is_when_nothing_is_left(run, monkeypatch, capsys) -> None:
    followed(
        run,
        monkeypatch,
        "queued queued queued",
        "running queued queued",
        "running failed queued",
        "finished queued queued+",
        "finished finished cancelled+",
        "finished finished finished",
    )
    lines = [line.split("s  ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "queued     sign  2 shards",
        "queued     group",
        "running    sign  shard 1 of 2",
        "failed     sign  shard 2 of 2: timeout: too slow",
        "done       sign  shard 1 of 2",
        "queued     sign  shard 2 of 2",
        "done       sign  shard 2 of 2",
        "cancelled  group",
        "done       group",
    ]


def test_a_supervisor_in_the_queue_may_still_submit_again(run, monkeypatch) -> None:
    followed(run, monkeypatch, "finished failed cancelled+", "finished failed cancelled")


def test_without_a_supervisor_the_waiting_process_submits_again_once(run, monkeypatch) -> None:
    asked = []
    run.profile = attrs.evolve(run.profile, supervise=False)

    def submit(self: SlurmRun, *, supervisor: bool) -> Submitted:
        asked.append(supervisor)
        return Submitted()

    monkeypatch.setattr(SlurmRun, "submit", submit)
    followed(run, monkeypatch, "running failed queued", "running failed queued", "finished failed cancelled")
    assert asked == [True]


def test_another_submit_meanwhile_does_not_end_the_waiting(run, monkeypatch) -> None:
    """Not even where nothing is queued at that moment: the other one is about to."""
    asked = []
    run.profile = attrs.evolve(run.profile, supervise=False)

    def submit(self: SlurmRun, *, supervisor: bool) -> Submitted:
        asked.append(supervisor)
        if len(asked) < 3:
            raise LeaseHeld(run.run_dir / "slurm" / "submit.lease", Holder.this_process())
        return Submitted()

    monkeypatch.setattr(SlurmRun, "submit", submit)
    kinds = ("finished failed cancelled", "finished failed cancelled", "finished failed queued")
    states = followed(run, monkeypatch, *kinds, "finished finished finished")
    assert all(state.state == "finished" for state in states)
    assert asked == [True, True, True]


def test_pauses_grow_while_nothing_changes(run, monkeypatch) -> None:
    paused: list[float] = []
    monkeypatch.setattr(follow.time, "sleep", paused.append)
    followed(run, monkeypatch, *["queued queued queued"] * 12, "running queued queued", "finished finished finished")
    assert paused[0] == 1.0
    assert paused == [*sorted(paused[:-1]), 1.0]
    assert paused[-2] == 30.0


def test_what_was_finished_before_is_counted_and_not_shown(run, capsys) -> None:
    tracker = Tracker(PLAN, run.run_dir, 1)
    with Lines(tracker) as show:
        follower = Follower(run, tracker, show)
        follower.skip([("sign", 0), ("group", 0)], {"sign"})
        follower.changes(next(looks("finished finished finished"))[0])
    assert capsys.readouterr().err.endswith("done       sign  shard 2 of 2\n")
    assert tracker.ended("sign")
    assert tracker.tasks_done == 1


def test_the_summary_is_that_of_a_local_run(run) -> None:
    run.ledger.journal.write("cut_off", task="group")
    whole = next(looks("finished finished finished"))[0]
    good = follow.summary(run, {"sign", "group"}, whole, 0.0)
    assert (good.ran, good.cut_off, good.failed, good.cancelled) == (("sign",), ("group",), (), ())
    bad = follow.summary(run, {"sign", "group"}, next(looks("finished failed cancelled"))[0], 0.0)
    assert (bad.ran, bad.failed, bad.cancelled) == ((), ("sign",), ("group",))
    assert bad.errors == ("sign: too slow",)
    assert follow.summary(run, {"group"}, whole, 2e9).reused == ("sign",)
