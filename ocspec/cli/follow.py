"""Following a run on Slurm from the login node until nothing of it is left in the queue. The run does not need it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from ocspec.cli.progress import Tracker
from ocspec.cli.states import is_supervised
from runtime.dispatch.base import Event, State
from runtime.dispatch.slurm.retry import COUNTED
from runtime.dispatch.slurm.states import ShardState
from runtime.lease import LeaseHeld
from runtime.run import Summary
from runtime.worker import finished_shards

if TYPE_CHECKING:
    from compiler.plan import Plan
    from runtime.dispatch.slurm.queue import Snapshot
    from runtime.dispatch.slurm.run import SlurmRun
    from runtime.store import Store

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
STATES: Mapping[str, State] = {
    "queued": "queued",
    "requeued": "queued",
    "preempted": "queued",
    "running": "running",
    "completing": "running",
    "finished": "done",
    "failed": "failed",
    "cancelled": "cancelled",
}


@attrs.define
class Follower:
    """Looks again and again, ever more rarely while nothing changes, and shows what did."""

    run: SlurmRun
    tracker: Tracker
    show: Callable[[Event], None]
    states: dict[tuple[str, int], str] = attrs.field(factory=dict)
    tried: frozenset[tuple[str, str]] = frozenset()

    def skip(self, done: Iterable[tuple[str, int]], wanted: Collection[str]) -> None:
        """Take these shards as finished before: not shown, and counted where their task is wanted."""
        for task_id, shard in done:
            self.states[task_id, shard] = "finished"
            if task_id in wanted:
                self.tracker.note(Event(task_id=task_id, shard=shard, state="done"))

    def to_the_end(self) -> list[ShardState]:
        """Where every shard stands once nothing waits or runs any more."""
        pause = FIRST_PAUSE_S
        while True:
            states, snapshot = self.run.look()
            changed = self.changes(states)
            try:
                if self._submit_again(states):
                    continue
                if is_over(states, snapshot):
                    return states
            except LeaseHeld:  # what the other submit queues is seen at the next look
                changed += 1
            pause = FIRST_PAUSE_S if changed else min(1.5 * pause, LONGEST_PAUSE_S)
            time.sleep(pause)

    def changes(self, states: Iterable[ShardState]) -> int:
        """Show what changed since the last look; how many shards that were."""
        count = 0
        for state in states:
            key = (state.task_id, state.shard)
            if state.state == self.states.get(key, "missing"):
                continue
            self.states[key] = state.state
            if state.state in STATES:
                count += 1
                self.show(Event(task_id=key[0], shard=key[1], state=STATES[state.state], detail=_detail(state)))
            if state.state == "running" and state.since:
                self.tracker.started[key] = state.since
        return count

    def _submit_again(self, states: Iterable[ShardState]) -> bool:
        """Do what the supervisor does where the profile wants none; once for each failed job.

        LeaseHeld where another submit goes on.
        """
        failed = {(s.submission, f"{s.task_id} {s.shard}") for s in states if s.cause in COUNTED and not s.is_live}
        if self.run.profile.supervise or failed <= self.tried:
            return False
        made = self.run.submit(supervisor=True)
        self.tried |= failed
        return bool(made.submissions)


def is_over(states: Iterable[ShardState], snapshot: Snapshot) -> bool:
    """Whether nothing waits or runs, and nobody is there to submit something again."""
    return not is_supervised(snapshot) and not any(state.is_live for state in states)


def _detail(state: ShardState) -> str:
    if state.state in {"preempted", "requeued"}:
        return f"{state.state}, waits for its next start"
    if state.state == "failed" and state.cause != "error":
        return f"{state.cause}: {state.detail}"
    return state.detail if state.state in {"failed", "cancelled", "queued"} else ""


def finished_before(plan: Plan, store: Store) -> list[tuple[str, int]]:
    """The shards that need not run."""
    return [(task.id, shard) for task in plan.tasks for shard in sorted(finished_shards(plan, task, store))]


def summary(run: SlurmRun, wanted: Collection[str], states: Iterable[ShardState], began: float) -> Summary:
    """What became of the tasks that were wanted. `began` is in seconds since the epoch."""
    cut = {e["task"] for e in run.ledger.journal.read() if e["event"] == "cut_off" and e["time"] >= round(began, 3)}
    open_shards = [state for state in states if state.state != "finished"]
    failed = {state.task_id for state in open_shards if state.state == "failed"}
    left = {state.task_id for state in open_shards} - failed
    ids = [task.id for task in run.plan.tasks]
    names = [task_id for task_id in ids if task_id in wanted]
    return Summary(
        reused=tuple(task_id for task_id in ids if task_id not in wanted),
        ran=tuple(name for name in names if name not in failed | left | cut),
        cut_off=tuple(name for name in names if name in cut and name not in failed | left),
        failed=tuple(name for name in names if name in failed),
        cancelled=tuple(name for name in names if name in left),
        errors=tuple(f"{state.task_id}: {state.detail}" for state in open_shards if state.state == "failed"),
        seconds=round(time.time() - began, 3),
    )
