"""Bands and rows chosen for a threshold: those that datasketch chooses; and what the spec says is what is taken."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
from datasketch.lsh import _optimal_param
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.banding import Banding, banding, optimal
from compiler.diff import diff_plans
from compiler.plan import Plan
from ocspec import MinHash


def peer(threshold: float, permutations: int) -> tuple[int, int]:
    """datasketch's choice; its integrals are warned of where they are steep."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bands, rows = _optimal_param(threshold, permutations, 0.5, 0.5)
    return bands, rows


@pytest.mark.parametrize("permutations", [4, 16, 128, 256, 512])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99])
def test_the_choice_is_datasketchs(threshold: float, permutations: int) -> None:
    """At thresholds and widths in use. With 2 permutations at J = 0.5, three choices are equally good."""
    chosen = optimal(threshold, permutations)
    assert (chosen.bands, chosen.rows) == peer(threshold, permutations)


@settings(max_examples=60, deadline=None)
@given(st.integers(5, 99), st.integers(4, 96))
def test_the_choice_is_datasketchs_at_any_percentage(percent: int, permutations: int) -> None:
    """And never takes more permutations than there are."""
    chosen = optimal(percent / 100, permutations)
    assert (chosen.bands, chosen.rows) == peer(percent / 100, permutations)
    assert chosen.permutations <= permutations


def test_what_is_not_said_is_the_papers() -> None:
    """16 bands of 128 rows; 256 permutations for a threshold."""
    assert banding(MinHash()) == Banding(16, 128)
    assert banding(MinHash(bands=8)) == Banding(8, 128)
    assert banding(MinHash(rows=8)) == Banding(16, 8)
    assert banding(MinHash(threshold=0.85)) == banding(MinHash(threshold=0.85, permutations=256)) == Banding(13, 19)
    assert banding(MinHash(threshold=0.85, permutations=2048)) == Banding(68, 30)


@given(st.integers(1, 64), st.integers(1, 256))
@settings(max_examples=50)
def test_the_threshold_is_where_one_pair_in_bands_matches(bands: int, rows: int) -> None:
    """threshold ** rows == 1 / bands, and it lies between 0 and 1."""
    chosen = Banding(bands, rows)
    assert 0 < chosen.threshold <= 1
    assert chosen.threshold**rows == pytest.approx(1 / bands)


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        ("threshold=0.85", "threshold=0.9", "threshold"),
        ("", "threshold=0.9", "threshold"),
        ("threshold=0.85", "threshold=0.85, permutations=128", "permutations"),
        ("", "unit='character'", "unit"),
    ],
)
def test_a_difference_names_what_was_written(
    compiled: Callable[[str], Plan], before: str, after: str, path: str
) -> None:
    """One change, of the field that was written; keys are made anew."""
    text = "experiment = small(data=(code(Deduplicate(near=MinHash({}))),))"
    diff = diff_plans(compiled(text.format(before)), compiled(text.format(after)))
    assert [change.path for change in diff.changes] == [f"data.code.steps.deduplicate.near.{path}"]
    assert "code/sign" in diff.ids("rebuild")


def test_two_ways_to_the_same_bands_are_the_same_work(compiled: Callable[[str], Plan]) -> None:
    """A threshold that gives 13 bands of 19 rows rebuilds nothing of what was made with 13 and 19."""
    text = "experiment = small(data=(code(Deduplicate(near=MinHash({}))),))"
    diff = diff_plans(compiled(text.format("bands=13, rows=19")), compiled(text.format("threshold=0.85")))
    assert len(diff.changes) == 3
    assert set(diff.ids("reuse")) == {task.id for task in diff.tasks}
