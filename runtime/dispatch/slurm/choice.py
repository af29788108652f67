"""Choice: which shards a submit queues now, and which waiting jobs have lost what they wait for. It queues nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import attrs

from compiler.plan import Plan, Task
from compiler.profile import Retry
from runtime.dispatch.slurm.ledger import Submission
from runtime.dispatch.slurm.retry import Cause, Retries, more_memory
from runtime.dispatch.slurm.states import ShardState


@attrs.frozen(kw_only=True)
class Part:
    """Shards of one task that are queued together. `memory_mb` is None where the plan's or profile's figure holds.

    `causes` tells why a shard is tried again, where it is.
    """

    task: Task
    shards: tuple[int, ...]
    memory_mb: int | None = None
    causes: Mapping[int, Cause] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Choice:
    """What to queue, parents first. `doomed` submissions wait for jobs that failed: cancel them first.

    `blocked` tasks are not queued, because a task before them failed for good. `live` are, by task, the submissions
    that are queued or running, with whether all of their shards still can end well.
    """

    parts: tuple[Part, ...] = ()
    doomed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    live: Mapping[str, Mapping[str, bool]] = attrs.field(factory=dict)


def choose(
    plan: Plan,
    states: Iterable[ShardState],
    submissions: Iterable[Submission],
    retries: Retries,
    policy: Retry,
    *,
    only_retries: bool,
    dead: Collection[str] = (),
) -> Choice:
    """What to queue. A person's submit takes all that is missing; `only_retries` what the policy tries again.

    `dead` submissions are done and will never end: what waits for them has to be queued anew.
    """
    by_task: dict[str, list[ShardState]] = defaultdict(list)
    chooser = _Chooser({one.id: one for one in submissions}, retries, policy, only_retries, by_task, dead)
    for state in states:
        by_task[state.task_id].append(state)
        chooser.shards[state.task_id, state.shard] = state
    parts: list[Part] = []
    for task in plan.tasks:
        parts += chooser.task(task, by_task[task.id])
    return Choice(
        parts=tuple(parts),
        doomed=tuple(sorted(chooser.doomed)),
        blocked=tuple(task.id for task in plan.tasks if task.id in chooser.blocked),
        live={task_id: chooser.live(task_states) for task_id, task_states in by_task.items()},
    )


@attrs.define
class _Chooser:
    """Goes through the tasks, parents first."""

    submissions: Mapping[str, Submission]
    retries: Retries
    policy: Retry
    only_retries: bool
    by_task: Mapping[str, list[ShardState]]
    dead: Collection[str] = ()
    shards: dict[tuple[str, int], ShardState] = attrs.field(factory=dict)
    doomed: set[str] = attrs.field(factory=set)
    failed: set[str] = attrs.field(factory=set)
    blocked: set[str] = attrs.field(factory=set)
    task_class: str = ""

    def task(self, task: Task, states: list[ShardState]) -> list[Part]:
        self.task_class = task.resources.task_class
        open_states = [state for state in states if state.state != "finished"]
        queued = {state.submission for state in open_states if state.state == "queued"}
        self.doomed |= {submission for submission in queued if self._is_doomed(task, submission)}
        todo = [state for state in open_states if not state.is_live or state.submission in self.doomed]
        taken = [state for state in todo if self._is_taken(state)]
        if len(taken) < len(todo):
            self.failed.add(task.id)
        if self.blocked.union(self.failed).intersection(task.upstream):
            self.blocked.add(task.id)
            return []
        return self._parts(task, taken)

    def _parts(self, task: Task, states: list[ShardState]) -> list[Part]:
        by_memory: dict[int | None, list[ShardState]] = defaultdict(list)
        for state in states:
            by_memory[self._memory(state)].append(state)
        return [
            Part(
                task=task,
                shards=tuple(state.shard for state in some),
                memory_mb=memory,
                causes={state.shard: state.cause for state in some if state.cause},
            )
            for memory, some in by_memory.items()
        ]

    def _is_doomed(self, task: Task, submission: str) -> bool:
        """Whether what it waits for will not do: a job that failed, was cancelled, or handed shards on to another."""
        one = self.submissions.get(submission)
        if one is None:
            return False
        awaited = {*one.after, *one.after_any} - self.doomed
        above = (state for parent in task.upstream for state in self.by_task[parent] if state.state != "finished")
        missed = any(not (state.is_live and state.submission in awaited) for state in above)
        return missed or not all(map(self.holds, one.after))

    def holds(self, submission: str) -> bool:
        """Whether all shards of a submission are still with it, finished or yet to be."""
        one = self.submissions.get(submission)
        if one is None or submission in self.doomed or submission in self.dead:
            return False
        places = [self.shards[one.task, shard] for shard in one.shards if (one.task, shard) in self.shards]
        return all(p.submission == submission and (p.state == "finished" or p.is_live) for p in places)

    def live(self, states: Iterable[ShardState]) -> dict[str, bool]:
        found = {state.submission for state in states if state.is_live} - self.doomed
        return {submission: self.holds(submission) for submission in sorted(found)}

    def _is_taken(self, state: ShardState) -> bool:
        if not self.only_retries or state.state == "missing" or state.submission in self.doomed:
            return True
        if state.cause == "out_of_memory" and self._memory(state) is None:
            return False
        policy = self.policy
        if state.cause == "timeout" and self.task_class != "train":  # it begins anew, and has no more time than before
            policy = attrs.evolve(policy, timeout=min(policy.timeout, 1))
        return self.retries.left(state.task_id, state.shard, state.cause, policy) > 0

    def _memory(self, state: ShardState) -> int | None:
        """More than last time for a shard that ran out of memory; as much as last time otherwise."""
        last = self.submissions.get(state.submission)
        if state.cause == "out_of_memory" and last and last.memory_mb:
            return more_memory(last.memory_mb, self.policy) or (None if self.only_retries else last.memory_mb)
        return last.memory_mb if last and last.raised else None
