"""Interval: a quantity that is not negative and of which only bounds are known. Not a distribution, nor a guess.

Where the truth lies within each operand it lies within the result, so that sums and products of estimates are as
honest as what goes into them. What is not known reaches from 0 to infinity; it is never zero. Whole numbers stay whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs


@attrs.frozen
class Interval:
    """`low` <= truth <= `high`; `high` is `math.inf` where nothing bounds it."""

    low: float
    high: float

    def __attrs_post_init__(self) -> None:
        assert 0 <= self.low <= self.high and self.low < math.inf, (self.low, self.high)

    @classmethod
    def exact(cls, value: float) -> Interval:
        """Known to be this."""
        return cls(value, value)

    @classmethod
    def unknown(cls) -> Interval:
        """Nothing is known, but that it is not negative."""
        return cls(0, math.inf)

    @classmethod
    def about(cls, value: float, factor: float) -> Interval:
        """Between `value` divided and multiplied by a factor of at least 1.

        >>> Interval.about(10, 2)
        Interval(low=5.0, high=20)
        """
        return cls(value / factor, value * factor)

    @property
    def is_exact(self) -> bool:
        """Whether one value is left."""
        return self.low == self.high

    @property
    def is_known(self) -> bool:
        """Whether there is an upper bound."""
        return self.high < math.inf

    @property
    def middle(self) -> float:
        """The geometric mean of the bounds, the arithmetic one where the lower is 0; infinite where there is no upper.

        >>> Interval(1, 16).middle, Interval(0, 8).middle
        (4.0, 4.0)
        """
        if self.is_exact or not self.is_known:
            return self.high
        return math.sqrt(self.low) * math.sqrt(self.high) if self.low else self.high / 2

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __add__(self, other: Interval | float) -> Interval:
        other = _interval(other)
        return Interval(self.low + other.low, self.high + other.high)

    def __mul__(self, other: Interval | float) -> Interval:
        other = _interval(other)
        return Interval(_product(self.low, other.low), _product(self.high, other.high))

    def __truediv__(self, other: Interval | float) -> Interval:
        """Unbounded where the divisor may be 0, unless nothing is divided."""
        other = _interval(other)
        assert other.high > 0, "divided by zero"
        low = 0 if other.high == math.inf else self.low / other.high
        return Interval(low, self.high / other.low if other.low else (math.inf if self.high else 0))

    __radd__ = __add__
    __rmul__ = __mul__

    def or_less(self) -> Interval:
        """What is left of it is not known: a part, all of it or nothing."""
        return Interval(0, self.high)

    def or_more(self) -> Interval:
        """At least this, and nothing bounds it."""
        return Interval(self.low, math.inf)

    def whole(self) -> Interval:
        """The whole numbers that hold it.

        >>> Interval(0.8, 3.2).whole()
        Interval(low=0, high=4)
        """
        return Interval(math.floor(self.low), math.ceil(self.high) if self.is_known else math.inf)

    def at_most(self, bound: float) -> Interval:
        """It is known not to be above a bound as well."""
        return Interval(min(self.low, bound), min(self.high, bound))

    def hull(self, other: Interval) -> Interval:
        """One of the two, it is not known which."""
        return Interval(min(self.low, other.low), max(self.high, other.high))


NOTHING = Interval.exact(0)
UNKNOWN = Interval.unknown()


def total(intervals: Iterable[Interval]) -> Interval:
    """The sum; exactly 0 of none."""
    return sum(intervals, NOTHING)


def greatest(intervals: Iterable[Interval]) -> Interval:
    """The largest of them; exactly 0 of none."""
    found = [NOTHING, *intervals]
    return Interval(max(one.low for one in found), max(one.high for one in found))


def _interval(value: Interval | float) -> Interval:
    return value if isinstance(value, Interval) else Interval.exact(value)


def _product(one: float, other: float) -> float:
    """Nothing times what is not known is nothing."""
    return one * other if one and other else 0
