"""A bar of parts: one row of a table as a picture, so thin that it needs no axis."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.report.charts import svg

WIDTH, HEIGHT = 100.0, 10.0


def bar(parts: Sequence[tuple[str, float]], total: float, label: str) -> str:
    """Parts (CSS class, amount) end to end in a bar that stands for `total`; what is left stays empty.

    >>> bar([("kept", 3), ("dropped", 1)], 4, "3 of 4").count("<rect")
    2
    >>> bar([], 0, "nothing").count("<rect")
    0
    """
    x, drawn = 0.0, []
    for class_, amount in parts:
        width = max(0.0, min(WIDTH - x, amount / total * WIDTH)) if total else 0.0
        if width:
            drawn.append(svg.element("rect", x=x, y=0, width=width, height=HEIGHT, class_=class_))
        x += width
    return svg.element(
        "svg",
        svg.title(label),
        *drawn,
        viewBox=f"0 0 {svg.number(WIDTH)} {svg.number(HEIGHT)}",
        preserveAspectRatio="none",
        class_="bar",
        role="img",
        aria_label=label,
    )
