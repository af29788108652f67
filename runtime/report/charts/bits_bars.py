"""Bits per byte of the model and of the n-gram yardstick, stage by stage, as bars. Shorter is better."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from runtime.report.charts import svg
from runtime.report.charts.axes import bottom_ticks
from runtime.report.charts.scale import Scale, ticks

BAR, GAP, TOP, BOTTOM = 18.0, 14.0, 6.0, 38.0


@attrs.frozen(kw_only=True)
class BitsPair:
    """One stage: what the model and the yardstick need, None where it is not measured (yet)."""

    stage: str
    model: float | None
    yardstick: float | None


def bits_bars(pairs: Sequence[BitsPair], yardstick: str, width: float) -> str:
    """Two bars a stage, each with its value at the end; zero is at the left.

    >>> chart = bits_bars([BitsPair(stage="pretrain", model=2.5, yardstick=2.0)], "5-gram", 400)
    >>> chart.count("<rect"), "2.500" in chart
    (2, True)
    """
    left = min(150.0, 14 + max((len(pair.stage) for pair in pairs), default=0) * 12 * svg.CHARACTER_WIDTH)
    row = 2 * BAR + GAP
    height = TOP + row * max(1, len(pairs)) + BOTTOM
    values = [v for pair in pairs for v in (pair.model, pair.yardstick) if v is not None]
    x = Scale(0, max(values, default=1.0) or 1.0, left, width - 110)
    parts = [bottom_ticks(x, ticks(0, x.high, 4), height - BOTTOM, width - 110)]
    parts.append(svg.text("bits per byte", (x.start + x.end) / 2, height - 4, text_anchor="middle", class_="tick"))
    for index, pair in enumerate(pairs):
        top = TOP + index * row
        name = svg.fit(pair.stage, int((left - 10) / (12 * svg.CHARACTER_WIDTH)))
        parts.append(svg.text(name, left - 8, top + BAR + 4, text_anchor="end", class_="stage"))
        parts.append(_bar(pair.model, "model", f"{pair.stage}, model", x, top))
        parts.append(_bar(pair.yardstick, yardstick, f"{pair.stage}, {yardstick}", x, top + BAR))
    return svg.drawing(width, height, _label(pairs, yardstick), *parts)


def _bar(value: float | None, name: str, tip: str, x: Scale, top: float) -> str:
    if value is None:
        return svg.text(f"{name}: not measured yet", x.start + 6, top + 13, class_="tick")
    end = x(value)
    shape = svg.element(
        "rect",
        svg.title(f"{tip}: {value:.4f} bits per byte"),
        x=x.start,
        y=top + 1,
        width=max(1.0, end - x.start),
        height=BAR - 2,
        class_="model" if name == "model" else "yardstick",
    )
    return shape + svg.text(f"{value:.3f} {name}", end + 5, top + 13, class_="tick")


def _label(pairs: Sequence[BitsPair], yardstick: str) -> str:
    def said(value: float | None) -> str:
        return "not measured" if value is None else f"{value:.3f}"

    stages = "; ".join(f"{p.stage}: model {said(p.model)}, {yardstick} {said(p.yardstick)}" for p in pairs)
    return f"Bits per byte, lower is better. {stages}"
