"""The document funnel: for each data set, step by step, what went in, was kept, was dropped and why."""

from __future__ import annotations

from compiler import ir
from compiler.plan import Task
from runtime.report.built import Built
from runtime.report.facts import DatasetFacts, FunnelStep, InstructionFacts, LanguageCount

COUNTING = (
    ir.Sign,
    ir.DropTwins,
    ir.Cluster,
    ir.DedupChunks,
    ir.Refine,
    ir.Downsample,
    ir.Select,
    ir.Decontaminate,
)
"""Operators that let documents through or not."""


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
        training_documents=packed.get("documents"),
        tokens=packed.get("tokens"),
    )


def _step(task: Task, built: Built) -> FunnelStep:
    stats = built.stats(task.id)
    dropped = stats.get("dropped", {})
    return FunnelStep(
        task=task.id,
        step=task.id.partition("/")[2] or task.id,
        status=built.status(task.id),
        documents=stats.get("in"),
        kept=stats.get("kept"),
        dropped=dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0]))),
    )


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
