"""The document funnel: for each data set, step by step, what went in, was kept, was dropped and why."""

from __future__ import annotations

from typing import Any

from compiler import ir
from compiler.plan import Task
from runtime.lineage.trail import step_before
from runtime.report.built import Built
from runtime.report.facts import DatasetFacts, FunnelStep, InstructionFacts, LanguageCount, LanguageFunnel
from runtime.report.rules import rules

COUNTING = (
    ir.RecallWeb,
    ir.Sign,
    ir.DropTwins,
    ir.Cluster,
    ir.Refine,
    ir.Downsample,
    ir.Select,
    ir.Decontaminate,
)
"""Operators that let documents through or not."""

TOP_LANGUAGES = 12
"""Languages that the funnel shows one by one."""


def datasets(built: Built) -> tuple[DatasetFacts, ...]:
    """The data sets that have steps of their own, in plan order."""
    steps: dict[str, list[Task]] = {}
    for task in built.plan.tasks:
        if isinstance(task.op, COUNTING):
            steps.setdefault(task.id.partition("/")[0], []).append(task)
    return tuple(_dataset(name, tasks, built) for name, tasks in steps.items())


def instructions(built: Built) -> tuple[InstructionFacts, ...]:
    """The fine-tuning data sets, in plan order."""
    return tuple(
        InstructionFacts(
            dataset=task.op.dataset,
            stage=task.id.partition("/")[0],
            status=built.status(task.id),
            pairs=built.stats(next(item.task for item in task.inputs if item.role == "pairs")).get("pairs"),
            too_long=built.stats(task.id).get("too_long"),
            samples=built.stats(task.id).get("samples"),
            tokens=built.stats(task.id).get("tokens"),
        )
        for task in built.plan.tasks
        if isinstance(task.op, ir.EncodePairs)
    )


def _dataset(name: str, tasks: list[Task], built: Built) -> DatasetFacts:
    sign = next((task.id for task in tasks if isinstance(task.op, ir.Sign)), None)
    refine = next((task.id for task in tasks if isinstance(task.op, ir.Refine)), None)
    packed = built.stats(f"{name}/pack") or built.stats(f"{name}/encode")
    redactions = built.stats(refine).get("redactions") if refine else None
    return DatasetFacts(
        name=name,
        derived=sign is None,
        steps=tuple(_step(task, built) for task in tasks),
        languages=_languages(built, sign, refine),
        redactions=None if redactions is None else dict(sorted(redactions.items())),
        generators=generators(built.plan.spec, name),
        by_language=by_language(tasks, built),
        rules=next((rules(task, built) for task in tasks if isinstance(task.op, ir.Refine)), ()),
        training_documents=packed.get("documents"),
        tokens=packed.get("tokens"),
    )


def by_language(tasks: list[Task], built: Built) -> tuple[LanguageFunnel, ...]:
    """Documents by language, as they went in and after each step; most first, rare languages together.

    What goes into a data set that starts from another is what the last step before kept.
    """
    steps = [task for task in tasks if not isinstance(task.op, ir.RecallWeb)]
    first = built.stats(steps[0].id)
    before = step_before(steps[0])
    seen: dict[str, int] | None = built.stats(before).get("languages") if before else first.get("seen")
    kept: list[dict[str, int] | None] = [built.stats(task.id).get("languages") for task in steps]
    names = {name for counts in (seen, *kept) if counts for name in counts}
    rows = [
        LanguageFunnel(
            language=name,
            seen=None if seen is None else seen.get(name, 0),
            kept=tuple(None if counts is None else counts.get(name, 0) for counts in kept),
        )
        for name in names
    ]
    rows.sort(key=lambda row: (-(row.seen or 0), -sum(count or 0 for count in row.kept), row.language))
    return (*rows[:TOP_LANGUAGES], *_together(rows[TOP_LANGUAGES:]))


def _together(rows: list[LanguageFunnel]) -> list[LanguageFunnel]:
    """Several languages as one line; one stays itself."""
    if len(rows) < 2:
        return rows
    columns = zip(*((row.seen, *row.kept) for row in rows), strict=True)
    seen, *kept = [None if None in column else sum(count or 0 for count in column) for column in columns]
    return [LanguageFunnel(language="other", seen=seen, kept=tuple(kept), languages=len(rows))]


def generators(spec: dict[str, Any], dataset: str) -> dict[str, str]:
    """What wrote the synthetic sources of a data set, in words, from the spec that the plan holds."""
    sources = _keyed(_keyed(spec["fields"]["data"])[dataset]["fields"]["sources"])
    recorded = {name: source["fields"].get("generator") for name, source in sources.items()}
    return {name: _words(generator["fields"]) for name, generator in recorded.items() if generator}


def _keyed(value: Any) -> dict[str, Any]:
    """Children of a field of a described spec by their keys; an empty sequence has none."""
    return dict(value["keyed"]) if value else {}


def _words(fields: dict[str, Any]) -> str:
    """A generator's record in one line.

    >>> _words({"model": "M", "revision": "", "recipe": "r", "seed_data": "s", "temperature": 0.7, "licence": ""})
    'M; recipe: r; seed data: s; temperature: 0.7'
    """
    rest = ("revision", "recipe", "seed_data", "temperature", "licence")
    known = [f"{name.replace('_', ' ')}: {fields[name]}" for name in rest if fields[name] not in ("", None)]
    return "; ".join([fields["model"], *known])


def _step(task: Task, built: Built) -> FunnelStep:
    stats = built.stats(task.id)
    dropped = stats.get("dropped", {})
    return FunnelStep(
        task=task.id,
        step=_label(task),
        status=built.status(task.id),
        documents=stats.get("in"),
        kept=stats.get("kept"),
        dropped=dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0]))),
    )


def _label(task: Task) -> str:
    """The step without its data set, and what its numbers count where that is not documents."""
    name = task.id.partition("/")[2] or task.id
    return f"{name} (chunks)" if isinstance(task.op, ir.Cluster) and task.op.granularity == "chunk" else name


def _languages(built: Built, sign: str | None, refine: str | None) -> tuple[LanguageCount, ...]:
    """Counts by language, most clean bytes first; a step that has not run gives None."""
    admitted, clean = (built.stats(task) if task else {} for task in (sign, refine))
    names = {*admitted.get("languages", {}), *clean.get("languages", {})}
    rows = [
        LanguageCount(
            language=name,
            admitted_documents=admitted["languages"].get(name, 0) if admitted else None,
            admitted_bytes=admitted["bytes"].get(name, 0) if admitted else None,
            clean_documents=clean["languages"].get(name, 0) if clean else None,
            clean_bytes=clean["bytes"].get(name, 0) if clean else None,
        )
        for name in names
    ]
    return tuple(sorted(rows, key=lambda row: (-(row.clean_bytes or 0), -(row.admitted_bytes or 0), row.language)))
