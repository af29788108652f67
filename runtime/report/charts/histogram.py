"""The histogram of a signal with a rule's threshold: one of many small pictures beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from runtime.report.charts import svg
from runtime.report.charts.axes import horizontal_grid
from runtime.report.charts.scale import Scale, short, ticks

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 300.0, 150.0, 42.0, 20.0, 22.0, 34.0
LEAST = 2.0
"""Height of the lowest bar, so that a few documents among many can be seen."""
LABELS = 4


def histogram(
    edges: Sequence[float], measured: Sequence[int], dropped: Sequence[int], threshold: float, names: tuple[str, str]
) -> str:
    """Documents by value: those that the rule dropped stand on those that it left. `names` are signal and condition.

    Bins are as wide as one another whatever their edges, so counts over powers of ten are on a logarithmic axis.
    Empty bins at the ends are left out, but not the threshold's.

    >>> chart = histogram([0, 1, 2, 3], [5, 1, 0], [0, 1, 0], 1.5, ("num_lines", "> 1.5"))
    >>> [chart.count(f'class="{name}"') for name in ("kept", "dropped", "threshold")]
    [1, 1, 1]
    """
    signal, condition = names
    first, last = _range(edges, measured, threshold)
    x = Scale(first, last + 1, LEFT, WIDTH - RIGHT)
    y = Scale(0, max(1, *measured[first : last + 1]), HEIGHT - BOTTOM, TOP)
    parts = [horizontal_grid(y, ticks(0, y.high, 3), LEFT, WIDTH - RIGHT)]
    parts += [_bar(x, y, number, measured[number], dropped[number], edges) for number in range(first, last + 1)]
    parts.append(svg.element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y.start, y2=y.start, class_="axis"))
    parts += _ticks(x, edges, first, last)
    parts.append(svg.text(signal, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, text_anchor="middle", class_="tick"))
    parts.append(_mark(x(_place(edges, threshold)), condition))
    label = f"{signal}: {sum(measured):,} documents measured, {sum(dropped):,} dropped where {condition}"
    return svg.drawing(WIDTH, HEIGHT, label, *parts, class_="chart histogram")


def _range(edges: Sequence[float], measured: Sequence[int], threshold: float) -> tuple[int, int]:
    """The first and the last bin to draw."""
    mark = min(int(_place(edges, threshold)), len(measured) - 1)
    shown = [number for number, count in enumerate(measured) if count] + [mark]
    return max(min(shown) - 1, 0), min(max(shown) + 1, len(measured) - 1)


def _place(edges: Sequence[float], value: float) -> float:
    """Where a value stands, counted in bins: within its bin evenly.

    >>> _place([0, 1, 2, 4], 3), _place([0, 1, 2, 4], 9)
    (2.5, 3)
    """
    for number, (low, high) in enumerate(pairwise(edges)):
        if value < high:
            return number + max(0.0, (value - low) / (high - low))
    return len(edges) - 1


def _bar(x: Scale, y: Scale, number: int, measured: int, dropped: int, edges: Sequence[float]) -> str:
    """One bin: the documents left, and on top of them those dropped."""
    tip = f"{short(edges[number])} to {short(edges[number + 1])}: {measured:,} documents, {dropped:,} dropped"
    left, width, bottom, drawn = x(number) + 0.5, x(number + 1) - x(number) - 1, y.start, []
    for class_, count in (("kept", measured - dropped), ("dropped", dropped)):
        if count > 0:
            height = max(LEAST, y.start - y(count))
            bottom -= height
            drawn.append(svg.element("rect", x=left, y=bottom, width=width, height=height, class_=class_))
    return svg.element("g", svg.title(tip), *drawn) if drawn else ""


def _ticks(x: Scale, edges: Sequence[float], first: int, last: int) -> list[str]:
    """Labels of some edges below the axis: of powers of ten where there are two, as edges spaced by factors have."""
    every = range(first, last + 2)
    by_factors = edges[-1] - edges[-2] > 2 * (edges[1] - edges[0])
    tens = [number for number in every if by_factors and f"{edges[number]:.6e}"[:8] in ("0.000000", "1.000000")]
    shown = tens if len(tens) > 1 else list(every)
    return [
        svg.text(short(edges[number]), x(number), HEIGHT - BOTTOM + 14, text_anchor="middle", class_="tick")
        for number in shown[:: max(1, -(-(len(shown) - 1) // LABELS))]
    ]


def _mark(place: float, condition: str) -> str:
    """The threshold: a line, and what drops beside it."""
    right = place > WIDTH / 2
    label = svg.text(
        f"drops if {condition}",
        place - 4 if right else place + 4,
        TOP - 8,
        text_anchor="end" if right else "start",
        class_="stage",
    )
    return svg.element("line", x1=place, x2=place, y1=TOP - 4, y2=HEIGHT - BOTTOM, class_="threshold") + label
