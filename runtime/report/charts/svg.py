"""Writing SVG: elements with escaped attributes and escaped text. Not a drawing: it knows no chart."""

from __future__ import annotations

from html import escape
from typing import Final

CHARACTER_WIDTH: Final = 0.6
"""Mean width of a character of the page's fonts, as a part of the font size; generous, so that labels fit."""


def number(value: float) -> str:
    """A coordinate: at most two decimals, never an exponent.

    >>> number(1.0), number(0.126), number(-0.001), number(20)
    ('1', '0.13', '0', '20')
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def element(name: str, *content: str, **attributes: str | float) -> str:
    """An element; `content` is SVG already, attributes are escaped: `class_` is class, `x_y` is x-y.

    >>> element("rect", x=1, class_='a"b')
    '<rect x="1" class="a&quot;b"/>'
    """
    written = "".join(f' {_name(key)}="{_value(value)}"' for key, value in attributes.items())
    inside = "".join(content)
    return f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>"


def text(content: str, x: float, y: float, **attributes: str | float) -> str:
    """A line of text, escaped.

    >>> text("a<b", 1, 2)
    '<text x="1" y="2">a&lt;b</text>'
    """
    return element("text", escape(content), x=x, y=y, **attributes) if content else ""


def title(content: str) -> str:
    """The tooltip of the element that it stands in."""
    return element("title", escape(content))


def drawing(width: float, height: float, label: str, *content: str, class_: str = "chart") -> str:
    """A whole picture with its text alternative, as wide as there is room up to `width`."""
    return element(
        "svg",
        *content,
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=width,
        height=height,
        class_=class_,
        role="img",
        aria_label=label,
    )


def polyline(points: list[tuple[float, float]], **attributes: str | float) -> str:
    """A line through points; a single point becomes a dot."""
    if len(points) == 1:
        return element("circle", cx=points[0][0], cy=points[0][1], r=3, **{**attributes, "fill": "currentColor"})
    joined = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return element("polyline", points=joined, fill="none", **attributes)


def fit(content: str, characters: int) -> str:
    """The text, its middle left out where it is longer.

    >>> fit("deduplicate", 8), fit("edges", 8)
    ('dedu…ate', 'edges')
    """
    if len(content) <= characters:
        return content
    front = characters // 2
    return f"{content[:front]}…{content[len(content) - (characters - front - 1) :]}"


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else number(value)
