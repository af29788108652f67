"""From numbers to places: linear scales, round ticks, fewer points with the same look. It draws nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

Point = tuple[float, float]
MAX_POINTS = 400


@attrs.frozen
class Scale:
    """A linear map of [low, high] onto [start, end]; where low = high, everything is in the middle.

    >>> Scale(0, 10, 100, 200)(5), Scale(3, 3, 0, 10)(3)
    (150.0, 5.0)
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value."""
        if self.high == self.low:
            return (self.start + self.end) / 2
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """About `wanted` round numbers within [low, high].

    >>> ticks(0, 10), ticks(0.13, 0.58), ticks(4, 4)
    ([0.0, 2.0, 4.0, 6.0, 8.0, 10.0], [0.2, 0.3, 0.4, 0.5], [4])
    """
    if not high > low:
        return [low]
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, 2 - math.floor(math.log10(step)))
    return [round(step * i, digits) for i in range(first, last + 1)]


def short(value: float) -> str:
    """A tick's label: thousands and more by letter, small numbers with an exponent.

    >>> [short(v) for v in (0, 0.25, 20000, 1_500_000, 0.0003, 7e9)]
    ['0', '0.25', '20k', '1.5M', '3e-4', '7G']
    """
    if value and abs(value) < 0.001:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    for limit, unit, letter in ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= limit:
            return f"{value / unit:.4g}{letter}"
    return f"{value:.4g}"


def downsample(points: Sequence[Point], limit: int = MAX_POINTS) -> list[Point]:
    """At most `limit` points: the first, the last, and the extremes of equal parts between, so spikes stay.

    >>> kept = downsample([(float(x), float(x == 500)) for x in range(1000)], 10)
    >>> len(kept) <= 10, (500.0, 1.0) in kept
    (True, True)
    """
    if len(points) <= limit:
        return list(points)
    inner, parts = points[1:-1], max(1, (limit - 2) // 2)
    chosen = [points[0]]
    for part in range(parts):
        piece = inner[part * len(inner) // parts : (part + 1) * len(inner) // parts]
        ends = {min(piece, key=lambda p: p[1]), max(piece, key=lambda p: p[1])}
        chosen += sorted(ends)
    return [*chosen, points[-1]]
