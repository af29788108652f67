"""Inline dispatch: shards run one after another in this process. For debugging and tests; it isolates nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compiler.errors import UserError
from runtime.dispatch.base import Event, Job
from runtime.worker import run_shard


class InlineDispatcher:
    """Runs each shard when polled."""

    def __init__(self, plan: Path, store: Path) -> None:
        self._plan = str(plan)
        self._store = str(store)
        self._waiting: list[tuple[Job, int]] = []
        self._failed: set[str] = set()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue every shard in order."""
        self._waiting += [(job, shard) for job in jobs for shard in job.shards]

    def poll(self) -> list[Event]:
        """Run the next shard; a task below a failed one is cancelled."""
        if not self._waiting:
            return []
        job, shard = self._waiting.pop(0)
        if self._failed.intersection(job.depends_on):
            self._failed.add(job.task_id)
            return [Event(task_id=job.task_id, shard=shard, state="cancelled", detail="a task before it failed")]
        try:
            run_shard(self._plan, job.task_id, shard, self._store)
        except UserError as error:
            self._failed.add(job.task_id)
            return [Event(task_id=job.task_id, shard=shard, state="failed", detail=str(error))]
        return [Event(task_id=job.task_id, shard=shard, state="done")]

    def cancel(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
