"""Every chart draws what it is given, and nothing breaks on nothing, on one value or on very many."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from runtime.report.charts import svg
from runtime.report.charts.bar import bar
from runtime.report.charts.bits_bars import BitsPair, bits_bars
from runtime.report.charts.collision import collision_curve, probability
from runtime.report.charts.histogram import histogram
from runtime.report.charts.scale import MAX_POINTS
from runtime.report.charts.step_curve import StepSeries, step_curve
from runtime.report.charts.task_graph import Node, task_graph

HOSTILE = "<script>alert('x')</script>\"&"
HUGE = StepSeries(name="long", steps=484_865, points=[(float(s), 9.0 / s) for s in range(1, 484_866)])
DRAWINGS = {
    "no stages": step_curve([], "Loss", 350),
    "a stage without points": step_curve([StepSeries(name="a", steps=10, points=[])], "Loss", 350),
    "one point": step_curve([StepSeries(name="a", steps=1, points=[(1, 3.0)])], "Loss", 1080),
    "equal values": step_curve(
        [StepSeries(name="a", steps=2, points=[(1, 0.0), (2, 0.0)])], "Rate", 350, from_zero=True
    ),
    "many points": step_curve([HUGE], "Loss", 1080),
    "many stages": step_curve([StepSeries(name=f"stage{i}", steps=1, points=[(1, i)]) for i in range(20)], "Loss", 350),
    "a hostile stage": step_curve([StepSeries(name=HOSTILE, steps=500, points=[(1, 1.0)])], HOSTILE, 1080),
    "a histogram": histogram([0, 1, 2], [3, 4], [0, 2], 1.0, (HOSTILE, "> 1")),
    "a histogram of nothing": histogram([0, 1, 2], [0, 0], [0, 0], 1.0, ("x", "> 1")),
    "no bits": bits_bars([], "5-gram", 350),
    "bits not measured": bits_bars([BitsPair(stage="a", model=None, yardstick=None)], "5-gram", 350),
    "zero bits": bits_bars([BitsPair(stage="a", model=0.0, yardstick=None)], "5-gram", 350),
    "hostile bits": bits_bars([BitsPair(stage=HOSTILE, model=1.0, yardstick=2.0)], HOSTILE, 720),
    "many bands": collision_curve(128, 16, 0.738),
    "one band": collision_curve(1, 1, 1.0),
    "low threshold": collision_curve(500, 2, 0.045),
    "no bar": bar([], 0, "nothing"),
    "a hostile bar": bar([("kept", 1)], 2, HOSTILE),
    "no tasks": task_graph([], []),
    "a hostile task": task_graph(
        [Node(id=HOSTILE, lane=HOSTILE, label=HOSTILE, status="done", tip=HOSTILE)], [[HOSTILE]]
    ),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_well_formed_and_labelled(name: str):
    """Well-formed XML, a text alternative, no number that is not one, nothing loaded or run."""
    root = ET.fromstring(DRAWINGS[name])
    assert root.tag == "svg"
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert not re.search(r"\bnan\b|\binf\b|href|<script", DRAWINGS[name])


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_stays_within_its_frame(name: str):
    """No coordinate lies outside the view box."""
    root = ET.fromstring(DRAWINGS[name])
    _, _, width, height = map(float, root.get("viewBox").split())
    for part in root.iter():
        for axis, limit in (
            ("x", width),
            ("x1", width),
            ("x2", width),
            ("y", height),
            ("y1", height),
            ("y2", height),
        ):
            assert 0 <= float(part.get(axis, 0)) <= limit + 0.01, ET.tostring(part)
        if part.tag == "rect":
            assert float(part.get("x")) + float(part.get("width")) <= width + 0.01


def test_a_long_curve_is_thinned():
    """484,865 steps become at most 400 points."""
    (line,) = re.findall(r'<polyline points="([^"]*)"', DRAWINGS["many points"])
    assert len(line.split()) <= MAX_POINTS
    assert len(DRAWINGS["many points"]) < 10_000


def test_stages_stand_end_to_end():
    """The second stage begins where the first ends, and that place is marked."""
    stages = [StepSeries(name=n, steps=10, points=[(1.0, 2.0), (10.0, 1.0)]) for n in ("one", "two")]
    root = ET.fromstring(step_curve(stages, "Loss", 1080))
    (border,) = [float(line.get("x1")) for line in root.iter("line") if line.get("class") == "border"]
    one, two = ([float(p.split(",")[0]) for p in line.get("points").split()] for line in root.iter("polyline"))
    assert one[-1] == pytest.approx(border, abs=0.01)
    assert two[0] > border
    assert two[-1] - one[-1] == pytest.approx(one[-1] - 52, abs=0.01)


def test_a_name_without_room_becomes_a_number():
    """The legend tells which number is which stage."""
    stages = [
        StepSeries(name="a_long_pretraining", steps=1000, points=[]),
        StepSeries(name="fine_tuning", steps=10, points=[]),
    ]
    names = [t.text for t in ET.fromstring(step_curve(stages, "Loss", 350)).iter("text") if t.get("class") == "stage"]
    assert names == ["a_long_pretraining", "2"]


def test_styles_tell_answers_and_plans_apart():
    """The class of a line says what it is."""
    stages = [
        StepSeries(name="a", steps=2, points=[(1, 1.0), (2, 1.0)]),
        StepSeries(name="b", steps=2, points=[(1, 1.0), (2, 1.0)], style="line answer"),
    ]
    lines = [line.get("class") for line in ET.fromstring(step_curve(stages, "Loss", 350)).iter("polyline")]
    assert lines == ["line s0", "line answer s1"]


def test_bars_are_as_long_as_their_numbers():
    """Half the bits, half the bar."""
    root = ET.fromstring(bits_bars([BitsPair(stage="a", model=1.0, yardstick=2.0)], "5-gram", 720))
    model, yardstick = (float(part.get("width")) for part in root.iter("rect"))
    assert yardstick == pytest.approx(2 * model, abs=0.02)


def test_a_bar_shows_parts_of_its_total():
    """3 and 1 of 8: 37.5 and 12.5 percent, the rest empty; never past the end."""
    parts = ET.fromstring(bar([("kept", 3), ("dropped", 1)], 8, "x")).findall("rect")
    assert [(p.get("x"), p.get("width"), p.get("class")) for p in parts] == [
        ("0", "37.5", "kept"),
        ("37.5", "12.5", "dropped"),
    ]
    (over,) = ET.fromstring(bar([("kept", 9)], 3, "x")).findall("rect")
    assert over.get("width") == "100"


@pytest.mark.parametrize(("bands", "rows", "threshold"), [(16, 128, 0.9786), (128, 16, 0.7384)])
def test_at_the_threshold_almost_two_in_three_collide(bands: int, rows: int, threshold: float):
    """1 - (1 - 1/b)^b at J = (1/b)^(1/r): 0.64 for 16 bands, 0.63 for many."""
    assert probability(bands, rows, threshold) == pytest.approx(0.635, abs=0.015)
    assert (probability(bands, rows, 0.0), probability(bands, rows, 1.0)) == (0.0, 1.0)


def test_text_and_attributes_are_escaped():
    """Neither text nor an attribute can end its element."""
    assert svg.text("</text><script>", 0, 0).count("<") == 2
    assert svg.element("rect", class_='"><script>').count("<") == 1
    assert svg.text("", 0, 0) == ""
    assert svg.number(1e-9) == "0"


@pytest.mark.parametrize("threshold", [0.0, 0.5, 2.0, 99.0])
def test_a_histogram_draws_every_document_and_the_threshold(threshold: float) -> None:
    """Whatever the threshold, also beyond the last edge; bars end to end within the drawing."""
    chart = histogram([0, 1, 2, 3, 4], [0, 7, 1000, 3], [0, 7, 0, 1], threshold, ("num_lines", f"> {threshold}"))
    assert [chart.count(f'class="{name}"') for name in ("kept", "dropped", "threshold")] == [2, 2, 1]
    assert f"1,010 documents measured, 8 dropped where &gt; {threshold}" in chart
    places = [float(x) for x in re.findall(r'<rect x="([\d.]+)"', chart)]
    assert places == sorted(places) and places[0] > 0


def test_a_few_documents_among_many_can_be_seen() -> None:
    """One of a million is two pixels high."""
    chart = histogram([0, 1, 2], [1_000_000, 1], [0, 1], 1.0, ("x", "> 1"))
    assert 'height="2" class="dropped"' in chart


def test_a_histogram_over_powers_of_ten_is_labelled_at_them() -> None:
    bounds = [0.0, *(10 ** (i / 5) for i in range(21))]
    chart = histogram(bounds, [1] * 21, [0] * 21, 5.0, ("num_lines", "< 5"))
    assert re.findall(r'text-anchor="middle" class="tick">([^<]+)<', chart) == ["0", "10", "1000", "num_lines"]
