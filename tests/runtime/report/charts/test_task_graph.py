"""The layout of the task graph: nothing overlaps, no line runs behind a box, no dependency is lost."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.report.charts.task_graph import NODE_HEIGHT, Node, drawn_edges, task_graph


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Graphs of up to 25 nodes in up to 4 lanes, in topological order."""
    nodes: list[Node] = []
    for i in range(draw(st.integers(1, 25))):
        earlier = [node.id for node in nodes]
        upstream = draw(st.lists(st.sampled_from(earlier), max_size=4, unique=True)) if earlier else []
        lane = f"lane{draw(st.integers(0, 3))}"
        nodes.append(Node(id=f"n{i}", lane=lane, label=f"task {i}", status="done", upstream=tuple(upstream)))
    return nodes


def reachable(edges: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """All pairs of which one leads to the other."""
    pairs = set(edges)
    while True:
        more = pairs | {(a, d) for a, b in pairs for c, d in pairs if b == c}
        if more == pairs:
            return pairs
        pairs = more


def boxes(root: ET.Element, class_: str) -> list[tuple[float, float, float]]:
    """Left, top, width."""
    rects = [r for r in root.iter("rect") if r.get("class") == class_]
    return [(float(r.get("x")), float(r.get("y")), float(r.get("width"))) for r in rects]


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_leaving_out_edges_loses_no_dependency(nodes: list[Node]):
    """What leads to what is the same with the drawn edges only, and not one of them can go."""
    every = [(up, node.id) for node in nodes for up in node.upstream]
    drawn = drawn_edges(nodes)
    assert reachable(drawn) == reachable(every)
    for edge in drawn:
        assert edge not in reachable([other for other in drawn if other != edge])


@settings(max_examples=40, deadline=None)
@given(graphs(), st.booleans())
def test_boxes_and_lines_do_not_collide(nodes: list[Node], split: bool):
    """No two boxes overlap, and the straight part of no line crosses a box; whether in one band or in two."""
    lanes = [f"lane{i}" for i in range(4)]
    # An edge may only lead down the page, so in two bands the upper one must not read the lower.
    upper = {n.id for n in nodes if n.lane in lanes[:2]}
    split = split and not any(up not in upper for n in nodes if n.id in upper for up in n.upstream)
    root = ET.fromstring(task_graph(nodes, [lanes[:2], lanes[2:]] if split else [lanes]))
    found = boxes(root, "node") + boxes(root, "port")
    assert len(boxes(root, "node")) == len(nodes)
    for i, (x, y, width) in enumerate(found):
        for other_x, other_y, other_width in found[:i]:
            apart = x + width <= other_x or other_x + other_width <= x
            assert apart or abs(y - other_y) >= NODE_HEIGHT
    for path in root.iter("path"):
        *_, turn, y, end = map(float, re.findall(r"-?\d+(?:\.\d+)?", path.get("d")))
        for left, top, width in found:
            assert not (top < y < top + NODE_HEIGHT and left < end and left + width > turn), path.get("d")


def test_a_task_stands_right_of_what_it_reads():
    """Columns are lengths of longest paths."""
    nodes = [
        Node(id="a", lane="x", label="a", status="done"),
        Node(id="b", lane="x", label="b", status="failed", upstream=("a",)),
        Node(id="c", lane="y", label="c", status="not run", upstream=("a", "b")),
    ]
    left = [x for x, _, _ in boxes(ET.fromstring(task_graph(nodes, [["x", "y"]])), "node")]
    assert left == sorted(set(left))


def test_the_state_is_a_word_and_a_class():
    """Nobody has to see the colour."""
    nodes = [Node(id=s, lane="x", label="t", status=s, note="3 s") for s in ("done", "failed", "started", "not run")]
    root = ET.fromstring(task_graph(nodes, [["x"]]))
    words = [t.text for t in root.iter("text") if t.get("class") == "state"]
    assert words == ["done 3 s", "failed 3 s", "started 3 s", "not run 3 s"]
    classes = [g.get("class") for g in root.iter("g") if (g.get("class") or "").startswith("task")]
    assert classes == ["task done", "task failed", "task started", "task not-run"]


def test_what_comes_from_another_band_is_named():
    """At most three names; the rest is counted, and the tooltip has all."""
    sources = [Node(id=f"d/{i}", lane="d", label=str(i), status="done") for i in range(5)]
    reader = Node(id="s/r", lane="s", label="r", status="done", upstream=tuple(node.id for node in sources))
    root = ET.fromstring(task_graph([*sources, reader], [["d"], ["s"]]))
    assert [t.text for t in root.iter("text") if t.get("class") == "source"] == ["d/0", "d/1", "and 3 more"]
    assert "reads d/0, d/1, d/2, d/3, d/4" in [title.text for title in root.iter("title")]


def test_the_main_way_of_a_lane_is_straight():
    """Tasks that others read keep the first row; a leaf beside them goes below."""
    nodes = [
        Node(id="mix", lane="s", label="mix", status="done"),
        Node(id="ngram", lane="s", label="ngram", status="done", upstream=("mix",)),
        Node(id="train", lane="s", label="train", status="done", upstream=("mix",)),
        Node(id="bits", lane="s", label="bits", status="done", upstream=("train",)),
    ]
    drawn = task_graph(nodes, [["s"]])
    tops = {
        g.find("title").text.split(":")[0]: g.find("rect").get("y")
        for g in ET.fromstring(drawn).iter("g")
        if g.get("class")
    }
    assert tops["mix"] == tops["train"] == tops["bits"] != tops["ngram"]
