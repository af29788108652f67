"""gather: a plan, a store and a journal -> ReportData: all numbers, nothing drawn, on any part of a run."""

from __future__ import annotations

from pathlib import Path

from runtime.report import funnel, mixture, tasks, training
from runtime.report.built import Built
from runtime.report.contamination import contamination
from runtime.report.facts import ReportData
from runtime.store import Store


def gather(plan_path: Path, store: Store) -> ReportData:
    """All that a report says of the plan at `plan_path` (a file or its directory); UserError for no plan."""
    built = Built.look(plan_path, store)
    plan, events = built.plan, built.events
    return ReportData(
        experiment=plan.experiment,
        plan=str(built.directory),
        parameters=plan.parameters,
        parameters_without_embeddings=plan.parameters_without_embeddings,
        model=training.model_shape(built),
        tasks=tuple(tasks.task_facts(task, built) for task in plan.tasks),
        datasets=funnel.datasets(built),
        instructions=funnel.instructions(built),
        contamination=contamination(built),
        mixes=mixture.mixes(built),
        stages=training.stages(built),
        bits=training.bits(built),
        benchmarks=training.benchmarks(built),
        deduplication=training.deduplication(built),
        versions=tasks.versions(built),
        hosts=tasks.hosts(built),
        first_event=events[0]["time"] if events else None,
        last_event=events[-1]["time"] if events else None,
        runs=sum(event["event"] == "run" for event in events),
        spec_files=tuple(sorted({task.origin.rpartition(":")[0] for task in plan.tasks if task.origin})),
    )
