"""A quantity over the optimizer steps of all stages, end to end. Which quantity is the caller's business."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from runtime.report.charts import svg
from runtime.report.charts.axes import bottom_ticks, horizontal_grid
from runtime.report.charts.scale import Point, Scale, downsample, short, ticks

HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 260.0, 52.0, 14.0, 26.0, 38.0


@attrs.frozen(kw_only=True)
class StepSeries:
    """One stage's values by step of that stage (from 1); `steps` is how many the stage has in all.

    `style` is CSS classes: "line", "line answer" for a loss over answers only, "line planned" for a plan.
    """

    name: str
    steps: int
    points: Sequence[Point]
    style: str = "line"


def step_curve(series: Sequence[StepSeries], quantity: str, width: float, from_zero: bool = False) -> str:
    """The curves of all stages with their borders marked; a stage without points keeps its place on the axis.

    >>> chart = step_curve([StepSeries(name="pretrain", steps=3, points=[(1, 9.0), (3, 7.5)])], "Loss", 400)
    >>> chart.count("<polyline"), "pretrain" in chart
    (1, True)
    >>> step_curve([], "Loss", 400).count("<polyline")
    0
    """
    total = sum(stage.steps for stage in series)
    values = [value for stage in series for _, value in stage.points]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    low = 0.0 if from_zero else low
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    y = Scale(low if from_zero else low - room, high + room, HEIGHT - BOTTOM, TOP)
    x = Scale(0, max(total, 1), LEFT, width - RIGHT)
    parts = [
        horizontal_grid(y, ticks(y.low, y.high), LEFT, width - RIGHT) if values else "",
        bottom_ticks(x, ticks(0, max(total, 1), int(width // 110)), HEIGHT - BOTTOM, width - RIGHT),
        svg.text(
            "optimizer steps, all stages",
            (LEFT + width - RIGHT) / 2,
            HEIGHT - 4,
            text_anchor="middle",
            class_="tick",
        ),
        "" if values else svg.text("no values yet", width / 2, HEIGHT / 2, text_anchor="middle", class_="tick"),
    ]
    before = 0
    for index, stage in enumerate(series):
        parts.append(_stage(stage, index, before, x, y))
        before += stage.steps
    return svg.drawing(width, HEIGHT, _label(series, quantity, total), *parts)


def _stage(stage: StepSeries, index: int, before: int, x: Scale, y: Scale) -> str:
    """A stage's border, its name or, where that has no room, its number, and its curve."""
    start, end = x(before), x(before + stage.steps)
    characters = int((end - start - 6) / (12 * svg.CHARACTER_WIDTH))
    name = stage.name if len(stage.name) <= characters else str(index + 1)
    points = [(x(before + step), y(value)) for step, value in downsample(stage.points)]
    border = svg.element("line", x1=start, x2=start, y1=TOP - 14, y2=HEIGHT - BOTTOM, class_="border") if before else ""
    return "".join(
        [
            border,
            svg.text(name, (start + end) / 2, TOP - 8, text_anchor="middle", class_="stage"),
            svg.element(
                "g",
                svg.title(f"{stage.name}: {_range(stage)}"),
                svg.polyline(points, class_=f"{stage.style} s{index % 6}") if points else "",
            ),
        ]
    )


def _range(stage: StepSeries) -> str:
    if not stage.points:
        return "no values yet"
    (first, at_first), (last, at_last) = stage.points[0], stage.points[-1]
    return f"{short(at_first)} at step {first:.0f}, {short(at_last)} at step {last:.0f}"


def _label(series: Sequence[StepSeries], quantity: str, total: int) -> str:
    stages = "; ".join(f"{stage.name}: {_range(stage)}" for stage in series)
    return f"{quantity} over {total} optimizer steps. {stages}"
