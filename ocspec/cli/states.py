"""Where every shard of a plan stands, on Slurm or here: store, journal and, where it can be asked, the queue.

It changes nothing, and waits for nobody: a Slurm that does not answer is told, and the journal has to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import attrs

from compiler.errors import UserError
from compiler.plan import Plan
from compiler.profile import Retry
from ocspec.cli.local_states import Event, is_driven, local_states
from runtime.dispatch.slurm import ledger
from runtime.dispatch.slurm.client import QueueUnavailable
from runtime.dispatch.slurm.kept_profile import read_profile
from runtime.dispatch.slurm.labels import tag_of
from runtime.dispatch.slurm.ledger import Ledger, Submission
from runtime.dispatch.slurm.queue import Snapshot, look
from runtime.dispatch.slurm.recall import recall
from runtime.dispatch.slurm.retry import COUNTED, Retries
from runtime.dispatch.slurm.states import ShardState, shard_states
from runtime.journal import Journal
from runtime.store import Store
from runtime.worker import finished_by_task


@attrs.frozen(kw_only=True)
class Standing:
    """Where a plan stands, task by task in its order. `dispatch` is who ran it last.

    `unanswered` is why Slurm could not be asked. `supervised`: a job in the cluster waits for failures or handles one.
    `driven`: a local run is going on, or none was ever begun.
    """

    plan: Plan
    dispatch: Literal["local", "slurm"]
    shards: Mapping[str, tuple[ShardState, ...]]
    events: tuple[Event, ...] = ()
    unanswered: str = ""
    supervised: bool = False
    driven: bool = False
    policy: Retry = attrs.field(factory=Retry)
    retries: Retries = attrs.field(factory=lambda: Retries({}))

    def is_finished(self, task_id: str) -> bool:
        """Whether every shard has its result."""
        return all(shard.state == "finished" for shard in self.shards[task_id])

    def is_retried(self, shard: ShardState) -> bool:
        """Whether the cluster will try a failed shard again by itself."""
        left = self.retries.left(shard.task_id, shard.shard, shard.cause, self.policy)
        return self.supervised and shard.state == "failed" and shard.cause in COUNTED and left > 0

    def is_over(self, task_id: str) -> bool:
        """Whether nothing more will happen to a task unless somebody submits again."""
        shards = self.shards[task_id]
        if self.is_finished(task_id):
            return True
        if any(shard.is_live or self.is_retried(shard) for shard in shards) or self.unanswered:
            return False
        if self.dispatch == "local":
            return not self.driven or all(shard.state in {"finished", "failed"} for shard in shards)
        if self.supervised and any(shard.cause == "parent" or shard.state == "missing" for shard in shards):
            return all(self.is_over(parent) for parent in self.plan.task(task_id).upstream)
        return True


def is_on_slurm(run_dir: Path) -> bool:
    """Whether a plan was ever submitted to Slurm."""
    return (run_dir / "slurm" / "submissions").is_dir() or (run_dir / "slurm" / "profile.json").is_file()


def standing(plan: Plan, run_dir: Path, store: Store) -> Standing:
    """Where every shard stands now; at most one squeue and one sacct, and neither for a plan that only ran here."""
    events = Journal(run_dir / "journal").read()
    here = Standing(
        plan=plan,
        dispatch="local",
        shards=_by_task(plan, local_states(plan, store, events)),
        events=tuple(events),
        driven=is_driven(events),
    )
    return _on_slurm(here, run_dir, store) if is_on_slurm(run_dir) else here


def _on_slurm(here: Standing, run_dir: Path, store: Store) -> Standing:
    submissions = Ledger(run_dir).submissions()
    snapshot, unanswered = _ask(here, run_dir, submissions)
    here = attrs.evolve(here, events=tuple(Journal(run_dir / "journal").read()))  # of what ended as Slurm was asked
    states = shard_states(here.plan, finished_by_task(here.plan, store), submissions, here.events, snapshot)
    if _last(here.events, "run") > _last(here.events, "submit"):  # it was taken on here since
        local = {(s.task_id, s.shard): s for shards in here.shards.values() for s in shards}
        shards = _by_task(here.plan, (s if s.is_live else local[s.task_id, s.shard] for s in states))
        return attrs.evolve(here, shards=shards, unanswered=unanswered)
    return attrs.evolve(
        here,
        dispatch="slurm",
        shards=_by_task(here.plan, states),
        unanswered=unanswered,
        supervised=is_supervised(snapshot),
        policy=_policy(run_dir),
        retries=Retries.read(here.events),
    )


def _ask(here: Standing, run_dir: Path, submissions: list[Submission]) -> tuple[Snapshot, str]:
    """What Slurm says, or what is remembered and why Slurm said nothing."""
    done = {(s.task_id, s.shard) for shards in here.shards.values() for s in shards if s.state == "finished"}
    places = ledger.places(submissions, here.events)
    wanted = [(one.id, element) for key, (one, element) in places.items() if key not in done]
    try:
        return look(tag_of(run_dir), ledger.job_ids(here.events), wanted), ""
    except QueueUnavailable as error:
        return recall(submissions, here.events), str(error)


def is_supervised(snapshot: Snapshot) -> bool:
    """Whether the job that submits again what failed is in the queue."""
    return any(row.is_supervisor for row in snapshot.live)


def _policy(run_dir: Path) -> Retry:
    try:
        return read_profile(run_dir).retry
    except UserError:
        return Retry()


def _by_task(plan: Plan, states: Iterable[ShardState]) -> dict[str, tuple[ShardState, ...]]:
    found: dict[str, list[ShardState]] = {task.id: [] for task in plan.tasks}
    for state in states:
        found[state.task_id].append(state)
    return {task_id: tuple(shards) for task_id, shards in found.items()}


def _last(events: Iterable[Event], kind: str) -> float:
    return max((float(event["time"]) for event in events if event["event"] == kind), default=0.0)
