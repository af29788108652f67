"""The frame of a chart: grid lines, ticks and their labels. Not the data inside."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.report.charts import svg
from runtime.report.charts.scale import Scale, short

FONT = 12
CLEAR = 0.4
"""How close two labels may come, as a part of their width."""


def horizontal_grid(y: Scale, values: Sequence[float], left: float, right: float) -> str:
    """A line across and a label at the left for every value."""
    parts = []
    for value in values:
        place = y(value)
        parts.append(svg.element("line", x1=left, x2=right, y1=place, y2=place, class_="grid"))
        parts.append(svg.text(short(value), left - 6, place + 4, text_anchor="end", class_="tick"))
    return "".join(parts)


def bottom_ticks(x: Scale, values: Sequence[float], bottom: float, right: float) -> str:
    """Labels below the axis; one that would run into its neighbour or over the edge is left out."""
    parts = [svg.element("line", x1=x.start, x2=right, y1=bottom, y2=bottom, class_="axis")]
    free = float("-inf")
    for value in values:
        label, place = short(value), x(value)
        half = len(label) * FONT * svg.CHARACTER_WIDTH / 2
        if place - half < free or place + half > right + 12:
            continue
        parts.append(svg.element("line", x1=place, x2=place, y1=bottom, y2=bottom + 4, class_="axis"))
        parts.append(svg.text(label, place, bottom + 17, text_anchor="middle", class_="tick"))
        free = place + half * (1 + CLEAR)
    return "".join(parts)
