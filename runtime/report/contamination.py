"""What decontamination found: for each step and test set, items hit, documents dropped, templates. From stats only."""

from __future__ import annotations

from compiler import ir
from compiler.plan import Task
from runtime.report.built import Built
from runtime.report.facts import ContaminationFacts


def contamination(built: Built) -> tuple[ContaminationFacts, ...]:
    """A row for each step that decontaminates and each of its test sets, in plan order."""
    return tuple(
        _facts(task, benchmark.name, built)
        for task in built.plan.tasks
        if isinstance(task.op, ir.Decontaminate | ir.DecontaminatePairs)
        for benchmark in task.op.benchmarks
    )


def _facts(task: Task, benchmark: str, built: Built) -> ContaminationFacts:
    facts = ContaminationFacts(task=task.id, benchmark=benchmark, status=built.status(task.id))
    counts = built.stats(task.id).get("benchmarks", {}).get(benchmark)
    if counts is None:
        return facts
    return ContaminationFacts(
        task=facts.task,
        benchmark=facts.benchmark,
        status=facts.status,
        items=counts["items"],
        looked_for=counts["looked_for"],
        documents=counts["documents"],
        templates=counts["templates"],
        by_item=dict(sorted(counts["by_item"].items(), key=lambda item: (-item[1], item[0]))),
    )
