"""Packing of shards into jobs: nothing lost, nothing twice, no job longer than it may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.packing import PACK_SECONDS, pack

SHARDS = st.lists(st.integers(0, 10**6), unique=True, max_size=200)
SECONDS = st.none() | st.floats(0, 10**6)
MINUTES = st.none() | st.integers(1, 10**5)


@given(shards=SHARDS, seconds=SECONDS, per_job=st.integers(0, 300), minutes=MINUTES)
def test_every_shard_once_and_in_order(
    shards: list[int], seconds: float | None, per_job: int, minutes: int | None
) -> None:
    """In elements that are not empty and whose sizes differ by one at most."""
    packed = pack(shards, seconds, per_job, minutes)
    assert [shard for element in packed for shard in element] == shards
    sizes = {len(element) for element in packed}
    assert 0 not in sizes
    assert not sizes or max(sizes) - min(sizes) <= 1


@given(shards=SHARDS, seconds=SECONDS, per_job=st.integers(1, 300), minutes=MINUTES)
def test_a_number_that_was_asked_for_is_the_most(
    shards: list[int], seconds: float | None, per_job: int, minutes: int | None
) -> None:
    """Whatever the estimate; and no more jobs than that takes."""
    packed = pack(shards, seconds, per_job, minutes)
    assert all(len(element) <= per_job for element in packed)
    assert len(packed) == -(-len(shards) // per_job)


@given(shards=SHARDS, seconds=st.floats(1, 10**5), minutes=MINUTES)
def test_a_packed_job_ends_in_time(shards: list[int], seconds: float, minutes: int | None) -> None:
    """Within PACK_SECONDS and half of its limit; a shard longer than that has a job of its own."""
    for element in pack(shards, seconds, 0, minutes):
        if len(element) > 1:
            assert len(element) * seconds <= PACK_SECONDS
            assert minutes is None or len(element) * seconds <= minutes * 60 / 2


@pytest.mark.parametrize(
    ("seconds", "minutes", "jobs"),
    [(1, 60, 32), (1, None, 32), (10, 60, 34), (300, 60, 1000), (None, 60, 1000), (0.0, 60, 32), (1, 1, 34)],
)
def test_a_thousand_shards(seconds: float | None, minutes: int | None, jobs: int) -> None:
    """Short ones fill a few jobs; long and unknown ones have one each."""
    assert len(pack(range(1000), seconds, 0, minutes)) == jobs
