"""Packing: which shards run one after another in the same element of a job array. Not how an array is submitted.

A scheduler takes seconds to start a job, so shards that are shorter than that are better run several to a job; but
shards that share a job wait for one another, and a job must end well within its limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

PACK_SECONDS = 300
"""A job of packed shards is meant to take no longer than this."""

WIDTH = 32
"""Jobs that an array is not packed below: what starts at once on an idle cluster ends sooner than what queues up."""


def pack(
    shards: Sequence[int], seconds: float | None, shards_per_job: int, minutes: int | None
) -> tuple[tuple[int, ...], ...]:
    """Shards in their order, cut into elements of an array whose sizes differ by at most one.

    `seconds` is what one shard is expected to take, None where that is not known; `minutes` limits a job, None: no
    limit. With `shards_per_job` above 0 an element has at most so many; otherwise as many as PACK_SECONDS, or half of
    the limit, have room for, but never so many that fewer than WIDTH jobs are left, and one where nothing is known.

    >>> [len(job) for job in pack(range(80), seconds=100, shards_per_job=0, minutes=60)] == 16 * [3, 2]
    True
    >>> pack((2, 3, 7), seconds=100, shards_per_job=0, minutes=60)
    ((2,), (3,), (7,))
    >>> pack((2, 3, 7), seconds=None, shards_per_job=2, minutes=60)
    ((2, 3), (7,))
    """
    most = shards_per_job if shards_per_job > 0 else _room(seconds, minutes)
    jobs = -(-len(shards) // most)
    if not shards_per_job:
        jobs = max(jobs, min(len(shards), WIDTH))
    bounds = [-(-len(shards) * job // jobs) for job in range(jobs + 1)] if jobs else [0]
    return tuple(tuple(shards[start:stop]) for start, stop in pairwise(bounds))


def _room(seconds: float | None, minutes: int | None) -> int:
    """How many shards of so many seconds a job has room for; at least one."""
    if seconds is None:
        return 1
    budget = PACK_SECONDS if minutes is None else min(PACK_SECONDS, minutes * 60 / 2)
    return max(1, int(budget // max(seconds, 1.0)))
