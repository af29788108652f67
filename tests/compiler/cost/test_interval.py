"""Intervals: the truth never leaves them, wider in is wider out, and what is not known is not zero."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from compiler.cost.interval import NOTHING, UNKNOWN, Interval, greatest, total

NUMBERS = st.integers(0, 10**30)


@st.composite
def with_truth(draw: st.DrawFn) -> tuple[Interval, int]:
    """Bounds, perhaps without an upper one, and a number between them."""
    low, truth, high = sorted(draw(st.lists(NUMBERS, min_size=3, max_size=3)))
    return Interval(low, math.inf if draw(st.booleans()) else high), truth


@st.composite
def nested(draw: st.DrawFn) -> tuple[Interval, Interval]:
    """An interval within another."""
    a, b, c, d = sorted(draw(st.lists(NUMBERS, min_size=4, max_size=4)))
    return Interval(b, c), Interval(a, draw(st.sampled_from((d, math.inf))))


def within(inner: Interval, outer: Interval) -> bool:
    return outer.low <= inner.low and inner.high <= outer.high


@given(with_truth(), with_truth())
def test_the_truth_stays_inside(one: tuple[Interval, int], other: tuple[Interval, int]) -> None:
    """Of sums, products, the greater of two, and one of two."""
    (a, x), (b, y) = one, other
    assert x + y in a + b
    assert x * y in a * b
    assert max(x, y) in greatest([a, b])
    assert x in a.hull(b)
    assert y in a.hull(b)
    assert min(x, y) in a.at_most(y)
    assert x + y in total([a, b])


@given(with_truth(), with_truth())
def test_the_truth_stays_inside_a_quotient(one: tuple[Interval, int], other: tuple[Interval, int]) -> None:
    """In floats, to their precision."""
    (a, x), (b, y) = one, other
    if y:
        quotient = a / b
        assert quotient.low <= x / y * (1 + 1e-12)
        assert x / y <= quotient.high * (1 + 1e-12)


@given(nested(), nested())
def test_wider_in_is_wider_out(one: tuple[Interval, Interval], other: tuple[Interval, Interval]) -> None:
    """No operation gains knowledge by losing some."""
    (a, wide_a), (b, wide_b) = one, other
    assert within(a + b, wide_a + wide_b)
    assert within(a * b, wide_a * wide_b)
    assert within(greatest([a, b]), greatest([wide_a, wide_b]))
    assert within(a.hull(b), wide_a.hull(wide_b))
    if wide_b.high:
        assert within(a / b if b.high else a, wide_a / wide_b) or b.high == 0


@given(with_truth())
def test_what_is_not_known_swallows_and_nothing_does_not(one: tuple[Interval, int]) -> None:
    """Unknown stays unbounded in sums; nothing times what is not known is nothing."""
    a, _ = one
    assert not (a + UNKNOWN).is_known
    assert a + NOTHING == a
    assert a * NOTHING == NOTHING
    assert a * 1 == a
    assert (UNKNOWN * a).is_known == (a.high == 0)


@given(with_truth())
def test_parts_and_wholes(one: tuple[Interval, int]) -> None:
    """Less may be nothing, more has no end, and the middle lies between."""
    a, x = one
    assert 0 in a.or_less()
    assert x in a.or_more()
    assert x in a.whole()
    assert a.is_exact == (a.or_more().at_most(a.low) == a)
    if a.is_known:
        assert a.low * (1 - 1e-9) <= a.middle <= a.high * (1 + 1e-9)


def test_whole_numbers_stay_whole() -> None:
    """FLOPs beyond what a float can hold."""
    flops = 129_200_000_000_000_000_000_001
    assert (Interval.exact(flops) + Interval.exact(1)).high == flops + 1
    assert (Interval.exact(flops) * 3).low == 3 * flops
