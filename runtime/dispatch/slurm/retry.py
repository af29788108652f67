"""Retry: which failures are tried again, how often, and with how much memory. It submits nothing.

What the cluster did to a job is tried again, what the job did to itself is not: an error of the code or of the data
would only come again. Every retry is an event of the journal, and those since the last `ocspec submit` of a person
count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import attrs

from compiler.profile import Retry

Cause = Literal[
    "preempted", "node_failed", "timeout", "out_of_memory", "lost", "parent", "cancelled", "error", "no_progress"
]
"""Why a shard has no result.

`parent`: a task before it did not succeed. `lost`: Slurm does not know the job, or it ended well and left nothing.
`no_progress`: a training job got its whole time again and again and made no step.
"""

PARENT = 100  # a shard goes with those that it waits for, but not for ever
NEVER = 1_000_000
COUNTED = ("preempted", "node_failed", "timeout", "out_of_memory", "lost")


@attrs.frozen
class Retries:
    """The retries of each shard by cause, since a person last submitted."""

    counts: Mapping[tuple[str, int, str], int]

    @classmethod
    def read(cls, events: Iterable[Mapping[str, Any]]) -> Retries:
        """From the journal's events, in order of time."""
        counts: Counter[tuple[str, int, str]] = Counter()
        for event in events:
            if event["event"] == "submit" and not event.get("supervisor"):
                counts.clear()
            elif event["event"] == "retry":
                counts.update((event["task"], shard, event["cause"]) for shard in event["shards"])
            elif event["event"] == "requeue":  # by Slurm, with the same job
                counts[event["task"], event["shard"], event["cause"]] += 1
            elif event["event"] == "refused":
                counts.update({(event["task"], shard, cause): NEVER for shard in event["shards"] for cause in COUNTED})
        return cls(counts)

    def left(self, task: str, shard: int, cause: Cause | None, policy: Retry) -> int:
        """How often this shard may still be tried again for this cause.

        A shard that waited for another one (`parent`) goes with it; an error is not tried again.
        """
        if cause not in (*COUNTED, "parent"):
            return 0
        limit: int = PARENT if cause == "parent" else getattr(policy, str(cause))
        return max(0, limit - self.counts.get((task, shard, str(cause)), 0))


def more_memory(last_mb: int, policy: Retry) -> int | None:
    """What a job that ran out of memory asks for next, in MB; None where it had the most already.

    >>> more_memory(1000, Retry(memory_growth=2.0, max_memory_mb=1500))
    1500
    >>> more_memory(1500, Retry(memory_growth=2.0, max_memory_mb=1500)) is None
    True
    """
    wanted = int(last_mb * policy.memory_growth)
    if policy.max_memory_mb is not None:
        wanted = min(wanted, policy.max_memory_mb)
    return wanted if wanted > last_mb else None
