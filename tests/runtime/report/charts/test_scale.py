"""Scales, ticks and thinning."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.report.charts.scale import MAX_POINTS, Scale, downsample, short, ticks

finite = st.floats(-1e9, 1e9, allow_nan=False)


@settings(max_examples=60)
@given(st.lists(finite, max_size=3000), st.integers(4, 500))
def test_thinning_keeps_ends_and_extremes(values: list[float], limit: int):
    """At most `limit` points, in order, with the first, the last, the least and the greatest."""
    points = [(float(i), value) for i, value in enumerate(values)]
    kept = downsample(points, limit)
    assert len(kept) <= limit
    assert kept == sorted(set(kept))
    assert set(kept) <= set(points)
    if points:
        assert (kept[0], kept[-1]) == (points[0], points[-1])
        assert min(y for _, y in kept) == min(values)
        assert max(y for _, y in kept) == max(values)


def test_few_points_stay_as_they_are():
    """Up to the limit nothing is left out."""
    points = [(float(i), 1.0) for i in range(MAX_POINTS)]
    assert downsample(points) == points
    assert len(downsample([*points, (1e6, 1.0)])) <= MAX_POINTS


@settings(max_examples=100)
@given(finite, st.floats(1e-6, 1e9), st.integers(2, 10))
def test_ticks_lie_within_and_are_even(low: float, span: float, wanted: int):
    """Between one and about twice as many as wanted, ascending, none outside."""
    high = low + span
    found = ticks(low, high, wanted)
    slack = 1e-6 * max(abs(low), abs(high), span)
    assert len(found) <= 2 * wanted + 2
    assert found == sorted(found)
    assert all(low - slack <= tick <= high + slack for tick in found)


def test_a_range_of_one_value_has_one_tick():
    """Nothing to divide."""
    assert ticks(5.0, 5.0) == [5.0]


@settings(max_examples=50)
@given(finite, finite, finite)
def test_a_scale_maps_its_ends(low: float, high: float, value: float):
    """low goes to start and high to end; without a range all goes to the middle."""
    scale = Scale(low, high, 10.0, 20.0)
    if low == high:
        assert scale(value) == 15.0
    else:
        assert (scale(low), scale(high)) == pytest.approx((10.0, 20.0))


def test_labels_are_short():
    """No label of a plausible value is longer than eight characters."""
    for value in (0.0, 1e-5, 3.1416e-4, 0.3333333, 12.5, 123456.0, 484_865.0, 2.034e12, -0.0002):
        assert len(short(value)) <= 8, short(value)
