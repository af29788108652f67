"""The dispatcher protocol and the plain data that it speaks in. No dispatcher is implemented here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import attrs

from compiler.plan import TaskClass

State = Literal["queued", "running", "done", "failed", "cancelled"]


@attrs.frozen(kw_only=True)
class Job:
    """A task ready to be queued. `depends_on` names tasks of the same submission that must succeed first."""

    task_id: str
    shards: tuple[int, ...]
    depends_on: tuple[str, ...] = ()
    task_class: TaskClass = "data"
    cpus: int = 1
    memory_mb: int = 2048
    gpus: int = 0
    nodes: int = 1

    @property
    def ranks(self) -> int:
        """Processes that share a shard: one for each device that it trains on.

        >>> Job(task_id="a", shards=(0,), task_class="train", gpus=8, nodes=2).ranks
        16
        """
        return max(1, self.gpus * self.nodes) if self.task_class == "train" else 1


@attrs.frozen(kw_only=True)
class Event:
    """What became of one shard; `detail` is for people: a reason, a message, a job id."""

    task_id: str
    shard: int
    state: State
    detail: str = ""


class Dispatcher(Protocol):
    """Runs jobs somewhere. Used by one thread; `submit` comes once, parents before children."""

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take all jobs; returns when they are queued."""
        ...

    def poll(self) -> list[Event]:
        """Changes of state since the last call; may wait a little."""
        ...

    def cancel(self) -> None:
        """Stop everything that was submitted, and return when it has stopped."""
        ...
