"""Stages and their measurements: curves from metrics, bits per byte from results. Not the mixtures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compiler import ir
from compiler.plan import StageSummary, Task
from compiler.trainjob import ModelShape, TrainJob
from runtime.report.built import Built
from runtime.report.charts.scale import Point
from runtime.report.facts import AnomalyFacts, BenchmarkFacts, BitsFacts, BitsTotal, DedupFacts, StageFacts
from runtime.training.schedule import learning_rate

PLANNED_POINTS = 200
BITS_FILE = "result/bits_per_byte.json"


def stages(built: Built) -> tuple[StageFacts, ...]:
    """The training stages in order, with what they have logged so far."""
    return tuple(_stage(summary, built) for summary in built.plan.stages)


def model_shape(built: Built) -> ModelShape | None:
    """The model's shape, or None in a plan without training."""
    jobs = [_job(built.plan.task(stage.task)) for stage in built.plan.stages]
    return jobs[0].model if jobs else None


def bits(built: Built) -> tuple[BitsFacts, ...]:
    """Bits per byte after each stage that is measured, in the stages' order, the yardstick beside it."""
    found = []
    tasks = {task.id: task for task in built.plan.tasks}
    for stage in built.plan.stages:
        mine = [task for task in tasks.values() if isinstance(task.op, ir.BitsPerByte) and task.op.stage == stage.name]
        for task in mine:
            ngram = tasks.get(f"{task.id}-ngram")
            found.append(
                BitsFacts(
                    stage=stage.name if len(mine) == 1 else task.id,
                    kind=stage.kind,
                    order=ngram.op.order if ngram and isinstance(ngram.op, ir.NGram) else None,
                    model=_totals(built.read_json(task.id, BITS_FILE)),
                    yardstick=_totals(built.read_json(ngram.id, BITS_FILE)) if ngram else None,
                )
            )
    return tuple(found)


def benchmarks(built: Built) -> tuple[BenchmarkFacts, ...]:
    """Generation benchmarks of the plan."""
    return tuple(
        BenchmarkFacts(stage=task.op.stage, benchmark=task.op.benchmark, status=built.status(task.id))
        for task in built.plan.tasks
        if isinstance(task.op, ir.Benchmark)
    )


def deduplication(built: Built) -> tuple[DedupFacts, ...]:
    """Deduplication steps with what their verdict dropped."""
    found = []
    for summary in built.plan.deduplication:
        stats = built.stats(f"{summary.step}/cluster")
        found.append(DedupFacts(summary=summary, dropped=stats.get("dropped")))
    return tuple(found)


def _job(task: Task) -> TrainJob:
    assert isinstance(task.op, ir.TrainTorch | ir.TrainNeMo | ir.TrainMegatron), f"{task.id} does not train"
    return task.op.job


def _stage(summary: StageSummary, built: Built) -> StageFacts:
    task = built.plan.task(summary.task)
    job, stats = _job(task), built.stats(task.id)
    lines = _json_lines(_metrics_file(task, built, "metrics.jsonl"))
    return StageFacts(
        summary=summary,
        status=built.status(task.id),
        answer_only=job.loss_on == "answer",
        planned_lr=_planned(job),
        loss=_curve(lines, lambda line: line["loss"]),
        lr=_curve(lines, lambda line: line["lr"]),
        source_loss=_curves(lines, "sources"),
        anomalies=tuple(
            AnomalyFacts(step=line["step"], kind=line["anomaly"], skipped=line["skipped"], loss=line["loss"])
            for line in lines
            if line.get("anomaly")
        ),
        validation=_validation(_json_lines(_metrics_file(task, built, "validation.jsonl"))),
        loss_tokens=stats.get("loss_tokens"),
        final_loss=stats.get("final_loss"),
        tokens_per_second=stats.get("tokens_per_second"),
        device={k: str(v) for k, v in sorted((built.read_json(task.id, "log/environment.json") or {}).items())},
    )


def _metrics_file(task: Task, built: Built, name: str) -> Path | None:
    """A file of metrics of a finished stage, or what an unfinished one has written of it so far."""
    artifact = built.artifacts.get(task.id)
    directory = artifact.path / "metrics" if artifact else built.resume_directory(task)
    return directory / name if directory else None


def _curve(lines: Iterable[Mapping[str, Any]], value: Callable[[Mapping[str, Any]], float | None]) -> tuple[Point, ...]:
    """A value by step; steps that have none, such as a loss that was not finite, are left out."""
    found = ((line["step"], value(line)) for line in lines)
    return tuple((step, number) for step, number in found if number is not None)


def _curves(lines: Sequence[Mapping[str, Any]], field: str) -> dict[str, tuple[Point, ...]]:
    """A curve for each name in a field that holds values by name."""
    curves: dict[str, list[Point]] = {}
    for line in lines:
        for name, value in line.get(field, {}).items():
            if value is not None:
                curves.setdefault(name, []).append((line["step"], value))
    return {name: tuple(curves[name]) for name in sorted(curves)}


def _validation(lines: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Point, ...]]:
    """Bits per byte by step: of all documents under "", then by language; empty where nothing is measured."""
    if not lines:
        return {}
    return {"": _curve(lines, lambda line: line["bits_per_byte"]), **_curves(lines, "languages")}


def _json_lines(path: Path | None) -> list[dict[str, Any]]:
    """The lines of a file of metrics; one that is being written is left out."""
    try:
        lines = path.read_text().splitlines() if path else []
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def _planned(job: TrainJob) -> tuple[Point, ...]:
    """The learning rate of some steps of the schedule, the ends of its phases among them."""
    steps = sum(phase.steps for phase in job.schedule)
    at = {i * (steps - 1) // PLANNED_POINTS for i in range(PLANNED_POINTS + 1)}
    end = 0
    for phase in job.schedule:
        at |= {end, end + phase.steps - 1}
        end += phase.steps
    return tuple((step + 1, learning_rate(job.schedule, step)) for step in sorted(at) if 0 <= step < steps)


def _totals(result: Mapping[str, Any] | None) -> dict[str, BitsTotal] | None:
    """The result's totals: all documents under "", then by language."""
    if result is None:
        return None
    return {
        "": _total(result["total"]),
        **{name: _total(total) for name, total in result["languages"].items()},
    }


def _total(total: Mapping[str, Any]) -> BitsTotal:
    return BitsTotal(documents=total["documents"], num_bytes=total["bytes"], bits_per_byte=total["bits_per_byte"])
