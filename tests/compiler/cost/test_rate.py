"""Rates of past runs: what they say of as much work, of much more and of less."""

from __future__ import annotations

import math

from compiler.cost.calibration import Rate
from compiler.cost.interval import Interval

PRIOR = Interval(100, 400)
"""Of a hundred thousand units, by a prior of 1 to 4 ms each."""


def test_a_rate_is_told_by_the_larger_tasks() -> None:
    """What is start-up for the most part tells none."""
    assert Rate.of([(1_000, 10), (500, 6), (10, 5)], 1.0) == Rate(
        per_unit=Interval(10 / 1_000, 6 / 500), most=1_000, longest=10
    )


def test_of_much_more_work_the_prior_may_hold() -> None:
    """A small task that took 5 s, most of them no work: the rate alone would be at least a thousand seconds."""
    rate = Rate.of([(500, 5)], 1.25)
    units = Interval.exact(100_000)
    assert (units * rate.per_unit).low == 800
    assert rate.seconds(units, PRIOR) == Interval(100, 1_250)
    assert rate.seconds(units, Interval(1, math.inf)) == Interval(1, 1_250)  # where there is no prior
    assert rate.seconds(Interval.exact(4_000), PRIOR) == Interval(32, 50)  # not much more


def test_less_work_takes_no_longer_than_was_seen() -> None:
    """Nor as little as its share."""
    rate = Rate.of([(1_000, 5)], 1.0)
    assert rate.seconds(Interval.exact(10), Interval(0.01, 0.04)) == Interval(0.01, 5)
