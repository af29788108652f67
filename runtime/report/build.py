"""build_report: one HTML file that needs no network, fonts or scripts. The numbers are `gather`'s."""

from __future__ import annotations

from pathlib import Path

import jinja2

from compiler.errors import UserError
from compiler.files import write_atomically
from runtime.report import summary, text
from runtime.report.charts.bar import bar
from runtime.report.charts.bits_bars import BitsPair, bits_bars
from runtime.report.charts.collision import collision_curve, probability
from runtime.report.charts.histogram import histogram
from runtime.report.charts.step_curve import StepSeries, step_curve, step_lines
from runtime.report.charts.task_graph import GLYPHS, Node, task_graph
from runtime.report.facts import FunnelStep, ReportData, RuleFacts, StageFacts, TaskFacts
from runtime.report.gather import gather
from runtime.store import Store

WIDE, NARROW = 1080.0, 350.0
"""Widths that charts are drawn in, CSS pixels; the page shows the one that fits."""

FILTERS = {
    function.__name__: function
    for function in (
        text.integer,
        text.percent,
        text.decimal,
        text.significant,
        text.seconds,
        text.size,
        text.moment,
        text.plural,
    )
}


def build_report(plan_path: Path, store: Store, out: Path) -> Path:
    """Write the report on a plan (plan.json or its directory) to the file `out`, and return its path.

    It may be called at any time: what is not there yet is shown as missing. The same plan, store and journal
    give the same bytes. Raises UserError for a plan that cannot be read and a file that cannot be written.
    """
    page = render(gather(plan_path, store))
    try:
        write_atomically(out, page)
    except OSError as error:
        raise UserError(
            f"the report cannot be written ({error.strerror})", where=str(out), fix="choose another --out"
        ) from None
    return out


def render(data: ReportData) -> str:
    """The page as text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("runtime.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    entered, left = summary.documents(data)
    return environment.get_template("report.html").render(
        data=data,
        sentences=summary.summary(data),
        entered=entered,
        left=left,
        trained=summary.trained_tokens(data),
        final=summary.headline(data),
        verdict=summary.verdict,
        glyphs=GLYPHS,
        charts=charts(data),
        lanes=[lane for band in _bands(data) for lane in band],
        funnel_bar=_funnel_bar,
        share_bar=_share_bar,
        histogram=_histogram,
        probability=probability,
        commit=_commit(data),
        longest=max((task.wall_seconds or 0 for task in data.tasks), default=0),
    )


def charts(data: ReportData) -> dict[str, list[tuple[str, str]]]:
    """Every chart under its name: CSS class and SVG for each width that it is drawn in, or step and SVG."""
    pairs = [BitsPair(stage=b.stage, model=b.of_model(), yardstick=b.of_yardstick()) for b in data.bits]
    orders = sorted({bits.order for bits in data.bits if bits.order is not None})
    yardstick = f"{orders[0]}-gram" if orders else "n-gram"
    loss, rate = [_loss(stage) for stage in data.stages], [_rate(stage) for stage in data.stages]
    both = (("wide", WIDE), ("narrow", NARROW))
    sources = {
        f"sources of {stage.summary.name}": [
            (n, step_lines(_sources(stage), "Loss, nats per token", w)) for n, w in both
        ]
        for stage in data.stages
        if stage.source_loss
    }
    held_out = [_validation(stage) for stage in data.stages]
    return sources | {
        "held_out": [(name, step_curve(held_out, "Bits per byte of held-out text", width)) for name, width in both],
        "graph": [("wide", task_graph([_node(task) for task in data.tasks], _bands(data)))],
        "loss": [(name, step_curve(loss, "Loss, nats per token", width)) for name, width in both],
        "rate": [(name, step_curve(rate, "Learning rate", width, from_zero=True)) for name, width in both],
        "bits": [(name, bits_bars(pairs, yardstick, min(width, 720))) for name, width in both],
        "collision": [
            (dedup.step, collision_curve(dedup.bands, dedup.rows, dedup.threshold))
            for dedup in (facts.summary for facts in data.deduplication)
        ],
    }


def _node(task: TaskFacts) -> Node:
    took = text.seconds(task.wall_seconds) if task.wall_seconds is not None else ""
    parts = [
        task.id,
        task.op,
        task.status,
        took,
        text.plural(task.shards, "shard"),
        task.progress,
        task.error,
    ]
    return Node(
        id=task.id,
        lane=task.lane,
        label=task.label,
        status=task.status,
        note=took,
        tip="; ".join(part for part in parts if part),
        upstream=task.upstream,
    )


def _bands(data: ReportData) -> list[list[str]]:
    """Lanes of data and lanes of stages; the stages in their order."""
    stages = [stage.summary.name for stage in data.stages]
    lanes = dict.fromkeys(task.lane for task in data.tasks)
    return [[lane for lane in lanes if lane not in stages], [lane for lane in stages if lane in lanes]]


def _loss(stage: StageFacts) -> StepSeries:
    style = "line answer" if stage.answer_only else "line"
    return StepSeries(name=stage.summary.name, steps=stage.summary.steps, points=stage.loss, style=style)


def _sources(stage: StageFacts) -> list[StepSeries]:
    curves = stage.source_loss.items()
    return [StepSeries(name=name, steps=stage.summary.steps, points=points) for name, points in curves]


def _validation(stage: StageFacts) -> StepSeries:
    return StepSeries(name=stage.summary.name, steps=stage.summary.steps, points=stage.validation.get("", ()))


def _rate(stage: StageFacts) -> StepSeries:
    """The rate as it was, or as it is planned for a stage that is not finished."""
    if stage.status == "done" and stage.lr:
        return StepSeries(name=stage.summary.name, steps=stage.summary.steps, points=stage.lr)
    return StepSeries(name=stage.summary.name, steps=stage.summary.steps, points=stage.planned_lr, style="line planned")


def _funnel_bar(step: FunnelStep, most: int) -> str:
    """Kept and dropped documents of a step, on the scale of the data set's first step; there may be more chunks."""
    kept, removed = step.kept or 0, step.removed or 0
    label = f"{kept:,} kept, {removed:,} dropped"
    return bar([("kept", kept), ("dropped", removed)], max(most, kept + removed), label)


def _histogram(rule: RuleFacts) -> str:
    """The histogram of a rule that has one."""
    bins = rule.histogram
    assert bins is not None
    signal, _, condition = rule.condition.partition(" ")
    return histogram(bins.edges, bins.measured, bins.dropped, bins.threshold, (signal, condition))


def _share_bar(share: float, class_: str, label: str) -> str:
    return bar([(class_, share)], 1.0, label)


def _commit(data: ReportData) -> str:
    """The commit that made all artefacts, or nothing where there are several or none."""
    commits = {version.get("commit", "") for version, _ in data.versions}
    return commits.pop() if len(commits) == 1 else ""
