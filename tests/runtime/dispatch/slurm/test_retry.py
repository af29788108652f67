"""Retries: counted by cause since a person last submitted; memory grows up to its cap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.profile import Retry
from runtime.dispatch.slurm.retry import COUNTED, Retries, more_memory

POLICY = Retry(preempted=2, node_failed=0, timeout=5, out_of_memory=1, lost=3)


def retry(task: str, shards: list[int], cause: str) -> dict:
    return {"event": "retry", "task": task, "shards": shards, "cause": cause}


def test_retries_are_counted_by_shard_and_cause():
    """Each cause has its own number; one that was used up leaves the others."""
    retries = Retries.read([retry("t", [0, 1], "preempted"), retry("t", [1], "preempted"), retry("u", [1], "lost")])
    left = [retries.left("t", shard, "preempted", POLICY) for shard in (0, 1, 2)]
    assert left == [1, 0, 2]
    assert retries.left("t", 1, "lost", POLICY) == 3
    assert retries.left("u", 1, "lost", POLICY) == 2


def test_a_person_who_submits_begins_anew_and_a_supervisor_does_not():
    """Whoever looked at it may know better than the count."""
    events = [retry("t", [0], "preempted"), retry("t", [0], "preempted")]
    assert Retries.read(events).left("t", 0, "preempted", POLICY) == 0
    assert Retries.read([*events, {"event": "submit", "supervisor": True}]).left("t", 0, "preempted", POLICY) == 0
    assert Retries.read([*events, {"event": "submit"}]).left("t", 0, "preempted", POLICY) == 2


@pytest.mark.parametrize("cause", ["error", "cancelled", "no_progress", None])
def test_some_causes_are_never_tried_again(cause):
    """The same would come again, or a person wanted it so."""
    assert Retries({}).left("t", 0, cause, POLICY) == 0


def test_every_cause_that_is_counted_is_in_the_policy():
    """By the same name."""
    assert [Retries({}).left("t", 0, cause, POLICY) for cause in COUNTED] == [2, 0, 5, 1, 3]
    assert Retries({}).left("t", 0, "parent", POLICY) > 0


@given(last=st.integers(1, 10**6), growth=st.floats(1.0, 10.0), cap=st.none() | st.integers(1, 10**6))
def test_memory_grows_and_ends_at_the_cap(last, growth, cap):
    """Always more than last time, never more than the cap; and it comes to an end."""
    policy = Retry(memory_growth=growth, max_memory_mb=cap)
    more = more_memory(last, policy)
    if more is None:
        assert (cap is not None and cap <= last) or int(last * growth) <= last
    else:
        assert last < more <= max(cap or more, last)


def test_what_slurm_itself_queued_again_counts_too():
    """Otherwise each submission would have the whole number for itself."""
    requeue = {"event": "requeue", "task": "t", "shard": 0, "cause": "preempted"}
    assert Retries.read([requeue, retry("t", [0], "preempted")]).left("t", 0, "preempted", POLICY) == 0
    assert Retries.read([requeue]).left("t", 1, "preempted", POLICY) == 2


def test_what_slurm_refused_is_not_asked_for_again_but_by_a_person():
    """A machine with that much memory will not come by itself."""
    refused = {"event": "refused", "task": "t", "shards": [0], "why": "too much memory"}
    assert [Retries.read([refused]).left("t", 0, cause, POLICY) for cause in COUNTED] == [0] * len(COUNTED)
    assert Retries.read([refused]).left("t", 1, "lost", POLICY) == 3
    assert Retries.read([refused, {"event": "submit"}]).left("t", 0, "lost", POLICY) == 3
