"""Where every shard of a plan stands: what the store, the ledger, the journal and the queue say together.

The store alone decides what is finished. Slurm tells what waits and runs, and why something ended; what the node wrote
in the journal tells it better where the two agree that it failed. It changes nothing and asks nobody: a snapshot of the
queue is given.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from compiler.plan import Plan, Task
from runtime.dispatch.slurm import ledger
from runtime.dispatch.slurm.ledger import Submission
from runtime.dispatch.slurm.queue import NEVER, RUNNING, WAITING, Row, Snapshot, exit_of
from runtime.dispatch.slurm.retry import Cause
from runtime.interruption import EXIT_CODE as AGAIN

State = Literal[
    "missing", "queued", "running", "completing", "requeued", "preempted", "finished", "failed", "cancelled"
]
LIVE: frozenset[State] = frozenset(("queued", "running", "completing", "requeued", "preempted"))
LATE_S = 60.0  # a shared file system may show a result that much later than Slurm shows the job's end
KILLED = re.compile(r"exit code (9|137)\b|signal 9\b")
ENDED_BY_SLURM = frozenset(("preempted", "timeout"))
CAUSES: Mapping[str, Cause] = {
    "BOOT_FAIL": "node_failed",
    "LAUNCH_FAILED": "node_failed",
    "NODE_FAIL": "node_failed",
    "PREEMPTED": "preempted",
    "TIMEOUT": "timeout",
    "DEADLINE": "timeout",
    "OUT_OF_MEMORY": "out_of_memory",
}


@attrs.frozen(kw_only=True)
class ShardState:
    """One shard. `cause` is why it failed; `detail` is Slurm's reason or the error, for people.

    `since` is when it got into this state, in seconds since the epoch, where that is known: submitted if it waits,
    started if it runs. `job_id` is the job's id as squeue shows it.
    """

    task_id: str
    shard: int
    state: State
    cause: Cause | None = None
    detail: str = ""
    job_id: str = ""
    node: str = ""
    since: float | None = None
    submission: str = ""

    @property
    def is_live(self) -> bool:
        """Whether a job for it waits or runs."""
        return self.state in LIVE


@attrs.frozen
class _Story:
    """What the journal tells of one element of a submission."""

    ran: bool = False
    stopped: bool = False
    requeued_for: Cause | None = None
    failed: Mapping[int, Mapping[str, Any]] = attrs.field(factory=dict)


def shard_states(
    plan: Plan,
    done: Mapping[str, frozenset[int]],
    submissions: Iterable[Submission],
    events: Iterable[Mapping[str, Any]],
    snapshot: Snapshot,
    now: float | None = None,
) -> list[ShardState]:
    """The state of every shard of every task, in the plan's order; `done` are those that the store has, by task."""
    events = list(events)
    submissions = list(submissions)
    latest = ledger.places(submissions, events)
    errors = {(e["task"], e["shard"]): (e["time"], str(e["error"])) for e in events if e["event"] == "failed"}
    by_id = {one.id: one for one in submissions}
    judge = _Judge(snapshot, _stories(events), errors, by_id, _last_cancel(events), now or time.time())
    for task in plan.tasks:  # parents first
        judge.known.update(((task.id, one.shard), one) for one in judge.task(task, done[task.id], latest))
    return list(judge.known.values())


@attrs.frozen
class _Judge:
    """Puts together what is known of a shard."""

    snapshot: Snapshot
    stories: Mapping[tuple[str, int], _Story]
    errors: Mapping[tuple[str, int], tuple[float, str]]
    submissions: Mapping[str, Submission]
    cancelled_at: float
    now: float
    known: dict[tuple[str, int], ShardState] = attrs.field(factory=dict)

    def task(
        self, task: Task, done: frozenset[int], latest: Mapping[tuple[str, int], tuple[Submission, int]]
    ) -> list[ShardState]:
        above = [one for one in self.known.values() if one.task_id in task.upstream and one.state != "finished"]
        states = []
        for shard in range(task.shards):
            if shard in done:
                one = latest[task.id, shard][0].id if (task.id, shard) in latest else ""
                states.append(ShardState(task_id=task.id, shard=shard, state="finished", submission=one))
            elif (task.id, shard) in latest:
                states.append(self._submitted(task.id, shard, *latest[task.id, shard], above))
            else:
                states.append(ShardState(task_id=task.id, shard=shard, state="missing"))
        return states

    def _submitted(
        self, task_id: str, shard: int, submission: Submission, element: int, above: list[ShardState]
    ) -> ShardState:
        row = self.snapshot.row(submission.id, element)
        story = self.stories.get((submission.id, element), _Story())
        base = ShardState(
            task_id=task_id,
            shard=shard,
            state="missing",
            submission=submission.id,
            job_id=row.job_id if row else "",
            node=row.node if row else "",
        )
        if row and row.is_live:
            return self._live(base, row, story)
        return self._ended(base, row, story, submission, above)

    def _live(self, base: ShardState, row: Row, story: _Story) -> ShardState:
        if row.state in WAITING:
            again: State = "preempted" if story.requeued_for == "preempted" else "requeued"
            # Not the story, which may be newer than the row: it began right after Slurm had answered.
            state: State = again if row.restarts or row.state != "PENDING" else "queued"
            return attrs.evolve(base, state=state, detail=row.reason, since=row.submitted)
        if row.state in RUNNING:
            odd = "" if row.state == "RUNNING" else row.state.lower()
            return attrs.evolve(base, state="running", detail=odd, since=row.started)
        return attrs.evolve(base, state="completing", since=row.started)

    def _ended(
        self, base: ShardState, row: Row | None, story: _Story, submission: Submission, above: list[ShardState]
    ) -> ShardState:
        """A job that is over, or unknown, and left no result."""
        if row and row.is_stuck:
            return _failed(base, "node_failed", f"Slurm could not start it again: {row.reason}")
        told = story.failed.get(base.shard)
        slurm = row.state if row else ""
        if told and slurm == "CANCELLED" and told["cause"] in ENDED_BY_SLURM:  # the node cannot tell who ended it
            told = None
        if slurm in CAUSES and (not told or slurm == "OUT_OF_MEMORY"):  # that may have hit what the worker started
            return _failed(base, CAUSES[slurm], f"{slurm} in Slurm" + (f" on {base.node}" if base.node else ""))
        # Also where it ran: it waited for the end of a job that then lost one more shard.
        by_slurm = row is not None and row.reason == NEVER and slurm not in CAUSES
        if by_slurm or not self._can_come_true(submission, above):
            return attrs.evolve(base, state="cancelled", cause="parent", detail="a task before it did not succeed")
        if told:
            return _failed(base, told["cause"], str(told["error"]))
        if row and slurm == "FAILED" and story.requeued_for and exit_of(row) == f"exit code {AGAIN}":
            return _failed(base, story.requeued_for, "it stopped to be queued again, which Slurm refused")
        if error := self._worker_error(base, submission):
            return _failed(base, "error", error)
        if slurm == "COMPLETED" and self._is_fresh(row):
            return attrs.evolve(base, state="completing", detail="its result is not visible yet")
        if (
            slurm == "CANCELLED"
            or submission.time < self.cancelled_at
            or (row is None and self._was_cancelled(base, story))
        ):
            return attrs.evolve(base, state="cancelled", cause="cancelled", detail="cancelled in Slurm")
        if row is None and story.stopped and story.requeued_for:  # asked to be queued again, and was not
            return _failed(base, story.requeued_for, "it stopped to be queued again, and was not")
        if row is None or slurm == "COMPLETED":
            what = "Slurm does not know its job" if row is None else "the job ended well"
            return _failed(base, "lost", f"{what}, and it left no result")
        said = ", ".join(filter(None, (f"{slurm} in Slurm", exit_of(row))))
        # Killed with all that could have told why: where the kernel or Slurm guards memory, that is why.
        return _failed(base, "out_of_memory" if KILLED.search(exit_of(row)) else "error", said)

    def _can_come_true(self, submission: Submission, above: list[ShardState]) -> bool:
        """Whether all that it waits for may still end well: then it was not ended for a parent's sake."""
        awaited = {*submission.after, *submission.after_any}
        if not all(one.is_live and one.submission in awaited for one in above):
            return False
        whole = [self.submissions[one] for one in submission.after if one in self.submissions]
        places = [(self.known.get((one.task, shard)), one.id) for one in whole for shard in one.shards]
        return all(p is None or (p.submission == one and (p.state == "finished" or p.is_live)) for p, one in places)

    def _was_cancelled(self, base: ShardState, story: _Story) -> bool:
        """Whether an element that Slurm has forgotten was cancelled by hand.

        It never ran and is gone while others of its array are still known: Slurm keeps no record of an element that is
        cancelled as it waits.
        """
        return not story.ran and self.snapshot.knows(base.submission)

    def _worker_error(self, base: ShardState, submission: Submission) -> str:
        """What the worker wrote before its whole job was ended."""
        time_, error = self.errors.get((base.task_id, base.shard), (0.0, ""))
        return error if time_ >= submission.time else ""

    def _is_fresh(self, row: Row | None) -> bool:
        return row is not None and row.ended is not None and self.now - row.ended < LATE_S


def _failed(base: ShardState, cause: Cause, detail: str) -> ShardState:
    return attrs.evolve(base, state="failed", cause=cause, detail=detail)


def _stories(events: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], _Story]:
    """What the nodes wrote, by element; a new start makes earlier failures of the element void."""
    found: dict[tuple[str, int], _Story] = {}
    for event in events:
        kind = event["event"]
        if kind not in {"running", "requeue", "shard_failed"}:
            continue
        place = (event["submission"], event["element"])
        story = found.get(place, _Story())
        if kind == "running":
            found[place] = _Story(ran=True, requeued_for=story.requeued_for)
        elif kind == "requeue":
            found[place] = attrs.evolve(story, stopped=True, requeued_for=event["cause"])
        else:
            # Of several ranks the first one says why; it ended the others.
            found[place] = attrs.evolve(story, failed={event["shard"]: event, **story.failed})
    return found


def _last_cancel(events: Iterable[Mapping[str, Any]]) -> float:
    return max((event["time"] for event in events if event["event"] == "cancel"), default=0.0)
