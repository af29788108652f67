"""The collision curve: how likely MinHash bands bring two documents together, by their similarity."""

from __future__ import annotations

from runtime.report.charts import svg
from runtime.report.charts.axes import bottom_ticks, horizontal_grid
from runtime.report.charts.scale import Scale

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340.0, 220.0, 44.0, 14.0, 14.0, 38.0
POINTS = 120


def probability(bands: int, rows: int, jaccard: float) -> float:
    """Probability that two documents of that Jaccard similarity share a band: 1 - (1 - J^rows)^bands.

    >>> round(probability(16, 128, 0.97), 3)
    0.279
    """
    return float(1 - (1 - jaccard**rows) ** bands)


def collision_curve(bands: int, rows: int, threshold: float) -> str:
    """The curve over J from 0 (few rows) or 0.5 to 1, with the threshold (1 / bands)^(1 / rows) marked."""
    low = 0.5 if threshold > 0.6 else 0.0
    x = Scale(low, 1.0, LEFT, WIDTH - RIGHT)
    y = Scale(0.0, 1.0, HEIGHT - BOTTOM, TOP)
    # Steep near the threshold, so half of the points lie in the tenth around it.
    even = [low + (1 - low) * i / POINTS for i in range(POINTS + 1)]
    near = [threshold + 0.1 * (i / POINTS - 0.5) for i in range(POINTS + 1)]
    at = sorted({j for j in even + near if low <= j <= 1})
    mark = x(threshold)
    left_side = mark > WIDTH * 0.6
    return svg.drawing(
        WIDTH,
        HEIGHT,
        f"Probability that two documents share a band, by Jaccard similarity: {bands} bands of {rows} rows,"
        f" threshold {threshold:.3f}",
        horizontal_grid(y, [0, 0.25, 0.5, 0.75, 1], LEFT, WIDTH - RIGHT),
        bottom_ticks(x, [low + (1 - low) * i / 5 for i in range(6)], HEIGHT - BOTTOM, WIDTH - RIGHT),
        svg.text("Jaccard similarity", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, text_anchor="middle", class_="tick"),
        svg.element("line", x1=mark, x2=mark, y1=TOP, y2=HEIGHT - BOTTOM, class_="threshold"),
        svg.polyline([(x(j), y(probability(bands, rows, j))) for j in at], class_="line s0"),
        svg.text(
            f"threshold {threshold:.3f}",
            mark - 6 if left_side else mark + 6,
            TOP + 12,
            text_anchor="end" if left_side else "start",
            class_="stage",
        ),
    )
