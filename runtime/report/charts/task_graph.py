"""The task graph, left to right: bands one below the other, in a band a lane for each data set or stage.

It decides no order: a task's column is the length of the longest path to it within its band. An edge that a
longer path implies is not drawn; one from an earlier band is written out as the name of its source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from runtime.report.charts import svg

GLYPHS: Final = {"done": "✓", "failed": "✗", "started": "▸", "not run": "·"}
FONT, SMALL = 12, 11
NODE_HEIGHT, ROW, COLUMN_GAP, LANE_PAD, BAND_GAP = 48.0, 54.0, 18.0, 6.0, 14.0
LINE_CHARACTERS, LANE_CHARACTERS, PORT_CHARACTERS, PORT_LINES = 14, 14, 16, 3


@attrs.frozen(kw_only=True)
class Node:
    """A task: its lane, a short label, one of the states in `GLYPHS`, a note such as its time, a tooltip."""

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
    node: Node

    @property
    def middle(self) -> float:
        return self.top + NODE_HEIGHT / 2


@attrs.frozen
class _Band:
    """A drawn band: its parts, the hindmost first, and how far it reaches."""

    parts: tuple[str, ...]
    width: float
    bottom: float


def task_graph(nodes: Sequence[Node], bands: Sequence[Sequence[str]]) -> str:
    """The picture of a graph whose nodes stand after all that they read; `bands` has the lanes of each band.

    >>> a = Node(id="x/a", lane="x", label="a", status="done")
    >>> b = Node(id="y/b", lane="y", label="b", status="not run", upstream=("x/a",))
    >>> one, two = task_graph([a, b], [["x", "y"]]), task_graph([a, b], [["x"], ["y"]])
    >>> one.count("x/a"), two.count("x/a")
    (1, 3)
    """
    edges = drawn_edges(nodes)
    left = 20 + max((min(len(n.lane), LANE_CHARACTERS) * FONT * svg.CHARACTER_WIDTH for n in nodes), default=0)
    drawn: list[_Band] = []
    for lanes in bands:
        top = drawn[-1].bottom + BAND_GAP if drawn else 0.0
        drawn.append(_band([node for node in nodes if node.lane in lanes], lanes, edges, left, top))
    done = sum(node.status == "done" for node in nodes)
    return svg.drawing(
        max((band.width for band in drawn), default=100.0),
        max((band.bottom for band in drawn), default=40.0),
        f"The graph of {len(nodes)} tasks, {done} done; the table of times lists the same tasks",
        *(part for band in drawn for part in band.parts),
        class_="graph",
    )


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


def _band(
    nodes: Sequence[Node], lanes: Sequence[str], edges: Iterable[tuple[str, str]], left: float, top: float
) -> _Band:
    """One band from `top` down."""
    ids = {node.id for node in nodes}
    nodes, inner = _with_ports(nodes, [edge for edge in edges if edge[1] in ids], ids)
    layer = _layers(nodes, inner)
    rows = {lane: _rows([node for node in nodes if node.lane == lane], layer, inner) for lane in lanes}
    rows = {lane: of_lane for lane, of_lane in rows.items() if of_lane}
    tops: dict[str, float] = {}
    bottom = top
    for lane, of_lane in rows.items():
        tops[lane] = bottom
        bottom += _lane_height(of_lane)
    columns = _columns(nodes, layer, left)
    boxes = {
        n.id: _Box(
            columns[layer[n.id]][0],
            tops[n.lane] + LANE_PAD + rows[n.lane][n.id] * ROW,
            columns[layer[n.id]][1],
            n,
        )
        for n in nodes
    }
    width = max((start + wide for start, wide in columns.values()), default=left) + 12
    parts = (
        *_stripes(rows, tops, width),
        *(_edge(boxes[up], boxes[down]) for up, down in inner),
        *(_port(box) if box.node.status == "port" else _task(box) for box in boxes.values()),
    )
    return _Band(parts, width, bottom)


def _with_ports(
    nodes: Sequence[Node], edges: Sequence[tuple[str, str]], ids: set[str]
) -> tuple[list[Node], list[tuple[str, str]]]:
    """The nodes, each after a port that names what it reads from other bands, and the edges inside."""
    found: list[Node] = []
    inner = [edge for edge in edges if edge[0] in ids]
    for node in nodes:
        outside = [up for up, down in edges if down == node.id and up not in ids]
        if outside:
            port = Node(id=f"port of {node.id}", lane=node.lane, label="\n".join(outside), status="port")
            found.append(port)
            inner.append((port.id, node.id))
        found.append(node)
    return found, inner


def _layers(nodes: Sequence[Node], edges: Iterable[tuple[str, str]]) -> dict[str, int]:
    """The length of the longest path that leads to each node."""
    above: dict[str, list[str]] = {}
    for up, down in edges:
        above.setdefault(down, []).append(up)
    layer: dict[str, int] = {}
    for node in nodes:
        layer[node.id] = 1 + max((layer[up] for up in above.get(node.id, ())), default=-1)
    return layer


def _rows(nodes: Sequence[Node], layer: Mapping[str, int], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The row of each node of one lane: the first in which no line to a node would run behind another.

    Nodes that others read are placed first, so that a stage's main way is straight.
    """
    read = {up for up, _ in edges}
    boxes: dict[int, set[int]] = {}
    lines: dict[int, set[int]] = {}
    rows = {}
    for node in sorted(nodes, key=lambda node: node.id not in read):
        column = layer[node.id]
        nearest = min((layer[up] for up, down in edges if down == node.id), default=column - 1)
        way = set(range(nearest + 1, column))
        row = 0
        while boxes.get(row, set()) & (way | {column}) or column in lines.get(row, set()):
            row += 1
        boxes.setdefault(row, set()).add(column)
        lines.setdefault(row, set()).update(way)
        rows[node.id] = row
    return rows


def _lane_height(rows: Mapping[str, int]) -> float:
    return max(rows.values()) * ROW + NODE_HEIGHT + 2 * LANE_PAD


def _columns(nodes: Sequence[Node], layer: Mapping[str, int], left: float) -> dict[int, tuple[float, float]]:
    """Left edge and width of each column, as wide as its longest line."""
    columns = {}
    for number in sorted(set(layer.values())):
        longest = max(len(line) for node in nodes if layer[node.id] == number for line in _lines(node))
        width = longest * SMALL * svg.CHARACTER_WIDTH + 17
        columns[number] = (left, width)
        left += width + COLUMN_GAP
    return columns


def _lines(node: Node) -> list[str]:
    """What is written in a node: a port's sources, or a task's label and state."""
    if node.status == "port":
        sources = node.label.split("\n")
        shown = (
            sources
            if len(sources) <= PORT_LINES
            else [*sources[: PORT_LINES - 1], f"and {len(sources) - PORT_LINES + 1} more"]
        )
        return [svg.fit(line, PORT_CHARACTERS) for line in shown]
    return [*_label_lines(node.label), f"{node.status} {node.note}".strip()]


def _label_lines(label: str) -> list[str]:
    """A label on one or two lines, cut at a slash, a dash or an underscore."""
    if len(label) > LINE_CHARACTERS or "/" in label:
        for mark in ("/", "-", "_"):
            front, found, back = label.partition(mark)
            if found and back:
                keep = "" if mark == "/" else mark
                return [svg.fit(front + keep, LINE_CHARACTERS), svg.fit(back, LINE_CHARACTERS)]
    return [svg.fit(label, LINE_CHARACTERS)]


def _stripes(rows: Mapping[str, Mapping[str, int]], tops: Mapping[str, float], width: float) -> Iterable[str]:
    """A stripe behind each lane, and its name."""
    for number, (lane, of_lane) in enumerate(rows.items()):
        height, name = _lane_height(of_lane), svg.fit(lane, LANE_CHARACTERS)
        yield svg.element("rect", x=0, y=tops[lane], width=width, height=height, class_=f"lane{number % 2}")
        yield svg.element("g", svg.title(lane), svg.text(name, 8, tops[lane] + height / 2 + 4, class_="stage"))


def _edge(source: _Box, target: _Box) -> str:
    """Down in the gap behind the source, then along the target's row, which is mostly empty there."""
    x1, y1, x2, y2 = source.left + source.width, source.middle, target.left, target.middle
    turn, n = x1 + COLUMN_GAP, svg.number
    path = f"M{n(x1)} {n(y1)}C{n(x1 + 12)} {n(y1)} {n(turn - 12)} {n(y2)} {n(turn)} {n(y2)}H{n(x2)}"
    return svg.element("path", d=path, class_="edge")


def _port(box: _Box) -> str:
    lines = _lines(box.node)
    first = box.middle + 4 - 6.5 * (len(lines) - 1)
    return svg.element(
        "g",
        svg.title(f"reads {', '.join(box.node.label.split())}"),
        svg.element("rect", x=box.left, y=box.top, width=box.width, height=NODE_HEIGHT, class_="port"),
        *(
            svg.text(line, box.left + box.width - 5, first + 13 * i, text_anchor="end", class_="source")
            for i, line in enumerate(lines)
        ),
    )


def _task(box: _Box) -> str:
    node, lines = box.node, _lines(box.node)
    top = box.top + (15 if len(lines) == 3 else 20)
    return svg.element(
        "g",
        svg.title(node.tip or f"{node.id}: {node.status}"),
        svg.element("rect", x=box.left, y=box.top, width=box.width, height=NODE_HEIGHT, rx=4, class_="node"),
        svg.element("rect", x=box.left, y=box.top, width=4, height=NODE_HEIGHT, rx=2, class_="stripe"),
        *(svg.text(line, box.left + 9, top + 13 * i, class_="label") for i, line in enumerate(lines[:-1])),
        svg.text(lines[-1], box.left + 9, box.top + NODE_HEIGHT - 7, class_="state"),
        class_=f"task {node.status.replace(' ', '-')}",
    )
