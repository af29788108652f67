"""The task graph, left to right: a lane for each data set and stage, a column for each length of longest path.

An edge that a longer path implies is not drawn. Lines run down beside their source and along the row of their
target, where a graph of this kind is mostly empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from runtime.report.charts import svg

GLYPHS: Final = {"done": "✓", "failed": "✗", "started": "▸", "not run": "·"}
FONT, SMALL = 12, 11
NODE_HEIGHT, ROW, COLUMN_GAP, LANE_PAD = 48.0, 54.0, 20.0, 6.0
LINE_CHARACTERS, LANE_CHARACTERS = 13, 14


@attrs.frozen(kw_only=True)
class Node:
    """A task: its lane, a short label, one of the four states in `GLYPHS`, a note such as its time, and a tooltip."""

    id: str
    lane: str
    label: str
    status: str
    note: str = ""
    tip: str = ""
    upstream: tuple[str, ...] = ()


@attrs.frozen
class _Box:
    """Where a node stands."""

    left: float
    top: float
    width: float

    @property
    def middle(self) -> float:
        return self.top + NODE_HEIGHT / 2


def task_graph(nodes: Sequence[Node]) -> str:
    """The picture of a graph whose nodes stand after all that they read.

    >>> a, b = (
    ...     Node(id="a", lane="x", label="a", status="done"),
    ...     Node(id="b", lane="x", label="b", status="not run", upstream=("a",)),
    ... )
    >>> task_graph([a, b]).count("<path")
    1
    """
    layer = layers(nodes)
    lanes = {lane: _rows([n for n in nodes if n.lane == lane], layer) for lane in dict.fromkeys(n.lane for n in nodes)}
    tops, height = _lane_tops(lanes)
    columns = _columns(nodes, layer, 20 + max((_lane_width(lane) for lane in lanes), default=0))
    boxes = {
        node.id: _Box(columns[layer[node.id]][0], tops[node.lane] + LANE_PAD + lanes[node.lane][node.id] * ROW, columns[layer[node.id]][1])
        for node in nodes
    }
    width = max((left + wide for left, wide in columns.values()), default=100.0) + 12
    done = sum(node.status == "done" for node in nodes)
    return svg.drawing(
        width,
        height,
        f"The graph of {len(nodes)} tasks in {len(lanes)} lanes, {done} done; the same tasks are listed in the table of times",
        *_bands(lanes, tops, width),
        *(_edge(boxes[up], boxes[down]) for up, down in drawn_edges(nodes)),
        *(_node(node, boxes[node.id]) for node in nodes),
        class_="graph",
    )


def layers(nodes: Iterable[Node]) -> dict[str, int]:
    """The length of the longest path that leads to each node."""
    layer: dict[str, int] = {}
    for node in nodes:
        layer[node.id] = 1 + max((layer[up] for up in node.upstream), default=-1)
    return layer


def drawn_edges(nodes: Sequence[Node]) -> list[tuple[str, str]]:
    """Edges without those that a longer path implies (the transitive reduction), in order.

    >>> a, b, c = (
    ...     Node(id=i, lane="x", label=i, status="done", upstream=up)
    ...     for i, up in (("a", ()), ("b", ("a",)), ("c", ("a", "b")))
    ... )
    >>> drawn_edges([a, b, c])
    [('a', 'b'), ('b', 'c')]
    """
    above: dict[str, set[str]] = {}
    edges = []
    for node in nodes:
        implied = set().union(*(above[up] for up in node.upstream))
        edges += [(up, node.id) for up in node.upstream if up not in implied]
        above[node.id] = implied | set(node.upstream)
    return edges


def _rows(nodes: Sequence[Node], layer: Mapping[str, int]) -> dict[str, int]:
    """The row of each node of one lane: the first that is free in its column."""
    taken: dict[int, int] = {}
    rows = {}
    for node in nodes:
        rows[node.id] = taken.get(layer[node.id], 0)
        taken[layer[node.id]] = rows[node.id] + 1
    return rows


def _lane_tops(lanes: Mapping[str, Mapping[str, int]]) -> tuple[dict[str, float], float]:
    tops, top = {}, 0.0
    for lane, rows in lanes.items():
        tops[lane] = top
        top += (max(rows.values()) + 1) * ROW - (ROW - NODE_HEIGHT) + 2 * LANE_PAD
    return tops, max(top, 40.0)


def _lane_width(lane: str) -> float:
    return min(len(lane), LANE_CHARACTERS) * FONT * svg.CHARACTER_WIDTH


def _columns(nodes: Sequence[Node], layer: Mapping[str, int], left: float) -> dict[int, tuple[float, float]]:
    """Left edge and width of each column, as wide as its longest line."""
    columns = {}
    for number in sorted(set(layer.values())):
        members = [node for node in nodes if layer[node.id] == number]
        longest = max(len(line) for node in members for line in (*_lines(node.label), _status_line(node)))
        width = longest * SMALL * svg.CHARACTER_WIDTH + 14
        columns[number] = (left, width)
        left += width + COLUMN_GAP
    return columns


def _lines(label: str) -> list[str]:
    """A label on one or two lines, cut at a slash, a dash or an underscore."""
    if len(label) > LINE_CHARACTERS or "/" in label:
        for mark in ("/", "-", "_"):
            front, found, back = label.partition(mark)
            if found and back:
                keep = "" if mark == "/" else mark
                return [svg.fit(front + keep, LINE_CHARACTERS), svg.fit(back, LINE_CHARACTERS)]
    return [svg.fit(label, LINE_CHARACTERS)]


def _status_line(node: Node) -> str:
    return f"{GLYPHS.get(node.status, '')} {node.status}" + (f" {node.note}" if node.note else "")


def _bands(lanes: Mapping[str, Mapping[str, int]], tops: Mapping[str, float], width: float) -> Iterable[str]:
    """A stripe behind each lane, and its name."""
    for number, (lane, rows) in enumerate(lanes.items()):
        height = (max(rows.values()) + 1) * ROW - (ROW - NODE_HEIGHT) + 2 * LANE_PAD
        yield svg.element("rect", x=0, y=tops[lane], width=width, height=height, class_=f"lane{number % 2}")
        yield svg.element(
            "g", svg.title(lane), svg.text(svg.fit(lane, LANE_CHARACTERS), 8, tops[lane] + height / 2 + 4, class_="stage")
        )


def _edge(source: _Box, target: _Box) -> str:
    """Down in the gap behind the source, then along the target's row."""
    x1, y1, x2, y2 = source.left + source.width, source.middle, target.left, target.middle
    turn, n = x1 + COLUMN_GAP, svg.number
    path = f"M{n(x1)} {n(y1)}C{n(x1 + 12)} {n(y1)} {n(turn - 12)} {n(y2)} {n(turn)} {n(y2)}H{n(x2)}"
    return svg.element("path", d=path, class_="edge")


def _node(node: Node, box: _Box) -> str:
    lines = _lines(node.label)
    top = box.top + (15 if len(lines) == 2 else 20)
    return svg.element(
        "g",
        svg.title(node.tip or f"{node.id}: {node.status}"),
        svg.element("rect", x=box.left, y=box.top, width=box.width, height=NODE_HEIGHT, rx=4, class_="node"),
        svg.element("rect", x=box.left, y=box.top, width=4, height=NODE_HEIGHT, rx=2, class_="stripe"),
        *(svg.text(line, box.left + 9, top + 13 * i, class_="label") for i, line in enumerate(lines)),
        svg.text(_status_line(node), box.left + 9, box.top + NODE_HEIGHT - 7, class_="state"),
        class_=f"task {node.status.replace(' ', '-')}",
    )
