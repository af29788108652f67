"""A quantity over optimizer steps: of all stages, end to end, or of one stage, several lines on top of each other.

Which quantity is the caller's business.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from runtime.report.charts import svg
from runtime.report.charts.axes import bottom_ticks, horizontal_grid
from runtime.report.charts.scale import Point, Scale, downsample, short, ticks

HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 260.0, 52.0, 14.0, 26.0, 38.0


@attrs.frozen(kw_only=True)
class StepSeries:
    """Values by step of a stage (from 1), of the stage or of one of its data sets; `steps` is how many it has in all.

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
    x, y, parts = _frame(values, total, width, "optimizer steps, all stages", from_zero)
    before = 0
    for index, stage in enumerate(series):
        parts.append(_stage(stage, index, before, x, y))
        before += stage.steps
    return svg.drawing(width, HEIGHT, _label(series, quantity, total), *parts)


def step_lines(series: Sequence[StepSeries], quantity: str, width: float) -> str:
    """The curves of several series over the same steps, those of one stage; the n-th has the n-th colour.

    >>> both = [StepSeries(name=name, steps=3, points=[(1, 9.0), (3, 7.5)]) for name in ("code", "text")]
    >>> step_lines(both, "Loss", 400).count("<polyline")
    2
    """
    total = max(line.steps for line in series)
    x, y, parts = _frame([value for line in series for _, value in line.points], total, width, "optimizer steps", False)
    for index, line in enumerate(series):
        points = [(x(step), y(value)) for step, value in downsample(line.points)]
        curve = svg.polyline(points, class_=f"{line.style} s{index % 6}") if points else ""
        parts.append(svg.element("g", svg.title(f"{line.name}: {_range(line)}"), curve))
    return svg.drawing(width, HEIGHT, _label(series, quantity, total), *parts)


def _frame(
    values: Sequence[float], total: int, width: float, axis: str, from_zero: bool
) -> tuple[Scale, Scale, list[str]]:
    """Both scales, and the grid, the ticks and the name of the axis below."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    low = 0.0 if from_zero else low
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    y = Scale(low if from_zero else low - room, high + room, HEIGHT - BOTTOM, TOP)
    x = Scale(0, max(total, 1), LEFT, width - RIGHT)
    parts = [
        horizontal_grid(y, ticks(y.low, y.high), LEFT, width - RIGHT) if values else "",
        bottom_ticks(x, ticks(0, max(total, 1), int(width // 110)), HEIGHT - BOTTOM, width - RIGHT),
        svg.text(axis, (LEFT + width - RIGHT) / 2, HEIGHT - 4, text_anchor="middle", class_="tick"),
        "" if values else svg.text("no values yet", width / 2, HEIGHT / 2, text_anchor="middle", class_="tick"),
    ]
    return x, y, parts


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
    said = "; ".join(f"{line.name}: {_range(line)}" for line in series)
    return f"{quantity} over {total} optimizer steps. {said}"
