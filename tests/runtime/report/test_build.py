"""The page: valid, self-contained, accessible, safe with hostile names, the same bytes each time."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import attrs
import pytest

from compiler.compile import compile_experiment
from compiler.errors import UserError
from compiler.load import load_spec
from compiler.plan import save
from runtime.report.build import build_report, render
from runtime.report.facts import AnomalyFacts, ReportData
from runtime.report.gather import gather
from runtime.store import Store
from tests.runtime.report.small import Run

ROOT = Path(__file__).parents[3]
CSS = (ROOT / "runtime" / "report" / "report.css").read_text()
VOID = {"meta", "br", "link", "img", "hr", "input"}
HOSTILE = "<script>alert(1)</script><img src=x onerror=y>\"'&"


class Page(HTMLParser):
    """Checks the balance of tags and collects what the tests look at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> at {self.getpos()} closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"style", "script"}:
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def data(complete: Run) -> ReportData:
    return gather(complete.directory, complete.store)


@pytest.fixture(scope="module")
def page(data: ReportData) -> Page:
    return Page(render(data))


def partial(run: Run) -> str:
    run.finish_up_to("alpha/mix")
    run.journal.write("failed", task="alpha/train", shard=0, error="loss is not finite")
    return render(gather(run.directory, run.store))


def test_complete_partial_and_empty_pages_are_balanced(page: Page, run: Run):
    """Every tag that opens closes, in order, in all three."""
    assert "not complete" not in page.text
    empty = Page(render(gather(run.directory, run.store)))
    half = Page(partial(run))
    assert "not built yet" in empty.text
    assert "Nothing is built yet" in empty.text
    assert "loss is not finite" in half.text
    assert "not complete" in half.text


def test_the_page_loads_nothing(page: Page, data: ReportData):
    """No script, no style sheet, no font, no picture, no address at all."""
    text = render(data)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "image", "use"} & {
        t for t, _ in page.tags
    }
    links = [a[name] for _, a in page.tags for name in ("src", "href", "action", "xlink:href") if name in a]
    assert links
    assert all(link.startswith("#") for link in links)
    assert "http://" not in text
    assert "https://" not in text
    assert not re.search(r"@import|@font-face|url\(", text)
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]


def test_links_lead_somewhere_and_ids_are_unique(page: Page):
    """The ten sections are linked, and no id occurs twice."""
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = [a["href"][1:] for a in page.named("a")]
    assert len(targets) == 10
    assert set(targets) <= set(ids)


def test_headings_are_in_order(page: Page):
    """One h1, and no level is skipped on the way down."""
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_pictures_and_tables_are_accessible(page: Page):
    """Drawings have a text alternative, tables a caption, headers a scope; scrolling needs no mouse."""
    assert all(a.get("role") == "img" and a.get("aria-label") for a in page.named("svg"))
    assert all(a.get("scope") in {"col", "row", "colgroup"} for a in page.named("th"))
    assert len(page.named("caption")) == len(page.named("table"))
    scrolling = [a for tag, a in page.tags if "scroll" in (a.get("class") or "").split() and tag == "div"]
    assert scrolling
    assert all(a.get("tabindex") == "0" and a.get("aria-label") for a in scrolling)
    assert page.named("html")[0]["lang"] == "en"
    (viewport,) = [a["content"] for a in page.named("meta") if a.get("name") == "viewport"]
    assert "width=device-width" in viewport


def luminance(colour: str) -> float:
    """Relative luminance after WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_have_contrast(scheme: int):
    """WCAG AA: 4.5 for text and 3 for graphics, on the page and on panels, in light and in dark."""
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[scheme]))
    for ground in ("page", "panel"):
        for name in ("ink", "muted", "link", "done", "failed", "started", "not-run"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        for name in ("kept", "drawn", "model", "yardstick", "dropped", "s0", "s1", "s2", "s3", "s4", "s5"):
            assert contrast(colours[name], colours[ground]) >= 3, (name, ground)


def test_every_state_and_class_of_colour_is_styled():
    """A task of any state, and a line of any stage, has its colour."""
    for name in ("done", "failed", "started", "not-run"):
        assert f".status.{name}" in CSS
        assert f".graph .{name} .stripe" in CSS
        assert f".chip.{name}" in CSS
    assert all(f".s{i} {{" in CSS for i in range(6))


def test_what_a_reader_sees_first(page: Page, data: ReportData):
    """Name, state, summary and the four headline numbers come before the first section."""
    first = page.text.partition("Connections that")[0]
    for said in ("small", "✓ complete", "20 → 5", "3,712", f"{data.parameters:,}", "2.750", "5-gram 2.500"):
        assert said in first


def test_every_task_is_in_the_tables(page: Page, data: ReportData):
    """With the first 16 digits of its fingerprint and digest."""
    for task in data.tasks:
        assert task.id in page.text
        assert task.fingerprint[:16] in page.text
        assert task.fingerprint not in page.text
        assert task.digest[:16] in page.text


def test_what_stood_out_in_training_is_shown(page: Page, data: ReportData):
    """Only of stages that have any: losses by data set, the steps and what was done, the measurements."""
    assert "Loss of gamma by data set" in page.text
    assert "Loss of alpha by data set" not in page.text
    said = (
        "2 steps with a loss or gradient that was not finite, or with a loss that jumped; the update of 1 was left out."
    )
    assert said in page.text
    assert "Held-out text while training" in page.text
    assert (
        "Bits per byte of held-out text over 19 optimizer steps. alpha: no values yet; gamma: 3.25 at step 2, 2.5"
        in render(data)
    )
    quiet = attrs.evolve(
        data, stages=tuple(attrs.evolve(s, source_loss={}, anomalies=(), validation={}) for s in data.stages)
    )
    plain = render(quiet)
    assert "by data set</h4>" not in plain
    assert "stood out" not in plain
    assert "Held-out text while training" not in plain


def test_hostile_names_are_escaped(data: ReportData):
    """Names from a plan, a store and a journal cannot write tags or attributes."""
    task = attrs.evolve(
        data.tasks[0],
        id=HOSTILE,
        lane=HOSTILE,
        label=HOSTILE,
        status="failed",
        error=HOSTILE,
        progress=HOSTILE,
    )
    step = attrs.evolve(
        data.datasets[0].steps[0], step=HOSTILE, dropped={HOSTILE: 3, "b": 1, "c": 1, "d": 1, HOSTILE * 2: 1}
    )
    dataset = attrs.evolve(
        data.datasets[0], name=HOSTILE, steps=(step, *data.datasets[0].steps[1:]), redactions={HOSTILE: 1}
    )
    language = attrs.evolve(dataset.languages[0], language=HOSTILE)
    part = attrs.evolve(data.mixes[0].parts[0], dataset=HOSTILE)
    stage = attrs.evolve(
        data.stages[0],
        summary=attrs.evolve(data.stages[0].summary, name=HOSTILE),
        device={HOSTILE: HOSTILE},
        source_loss={HOSTILE: ((1, 2.0),)},
        anomalies=(AnomalyFacts(step=1, kind=HOSTILE, skipped=True, loss=None),),
        validation={"": ((1, 2.0),), HOSTILE: ((1, 2.0),)},
    )
    bits = attrs.evolve(data.bits[0], stage=HOSTILE, model={**data.bits[0].model, HOSTILE: data.bits[0].model[""]})
    hostile = attrs.evolve(
        data,
        experiment=HOSTILE,
        plan=HOSTILE,
        tasks=(task, *data.tasks[1:]),
        datasets=(attrs.evolve(dataset, languages=(language,)),),
        mixes=(attrs.evolve(data.mixes[0], stage=HOSTILE, parts=(part,), languages=((HOSTILE, 1.0),)),),
        stages=(stage, *data.stages[1:]),
        bits=(bits,),
        versions=(({"ocspec": HOSTILE, "commit": HOSTILE, "python": HOSTILE}, 1),),
        hosts={HOSTILE: 1},
        spec_files=(HOSTILE,),
    )
    text = render(attrs.evolve(hostile, tasks=(task,)))
    page = Page(text)
    assert not page.named("script")
    assert not page.named("img")
    assert "<script" not in text
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]
    assert "alert(1)" in page.text


def test_the_same_input_gives_the_same_bytes(complete: Run, tmp_path: Path):
    """Twice built, byte for byte; the returned path is the file."""
    one = build_report(complete.directory, complete.store, tmp_path / "a" / "one.html")
    two = build_report(complete.directory / "plan.json", complete.store, tmp_path / "two.html")
    assert one == tmp_path / "a" / "one.html"
    assert one.read_bytes() == two.read_bytes()


def test_a_path_that_cannot_be_written_is_a_user_error(complete: Run, tmp_path: Path):
    """A file where a directory is needed."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        build_report(complete.directory, complete.store, tmp_path / "file" / "report.html")


def test_full_scale_plans_stay_small(tmp_path: Path):
    """The 1.5B recipe, nothing built: a page of under 1 MB, and balanced."""
    experiment, base = load_spec(str(ROOT / "specs" / "opencoder_1_5b.py"))
    save(compile_experiment(experiment, base), tmp_path)
    out = build_report(tmp_path, Store(tmp_path / "store"), tmp_path / "report.html")
    assert out.stat().st_size < 1_000_000
    page = Page(out.read_text())
    assert "opencoder-1.5b" in page.text
    assert "goes on from step 373,000" in page.text


def test_long_curves_stay_small(data: ReportData):
    """A hundred thousand steps a stage, in each curve more than the page may hold, do not swell it."""
    points = tuple((float(step), 1.0 + step % 7) for step in range(1, 100_001))
    stages = tuple(attrs.evolve(stage, loss=points, lr=points) for stage in data.stages)
    text = render(attrs.evolve(data, stages=stages))
    assert len(repr(points)) > 1_000_000 > len(text.encode())
