"""budget: tokens, steps and FLOPs of every stage and the collision curves, as plain numbers in the plan."""

from __future__ import annotations

import attrs

from compiler import ir
from compiler.banding import banding
from compiler.cost.flops import training_flops
from compiler.draft import Draft
from compiler.plan import DedupSummary, StageSummary, Task
from compiler.trainjob import TrainJob
from ocspec.base import sibling_keys
from ocspec.refinement import Deduplicate

CURVE_AT = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 1.0)


def budget(draft: Draft) -> Draft:
    """Fill in the summaries of stages and of deduplication steps."""
    jobs = [(task, task.op.job) for task in draft.tasks if isinstance(task.op, ir.TrainOp)]
    return attrs.evolve(
        draft,
        stages=tuple(stage_summary(task, job) for task, job in jobs),
        deduplication=tuple(_deduplication(draft)),
    )


def stage_summary(task: Task, job: TrainJob) -> StageSummary:
    """A training task in plain integers."""
    return StageSummary(
        name=job.stage,
        kind=job.kind,
        task=task.id,
        steps=job.steps,
        tokens=job.tokens,
        instances=sum(batch.steps * batch.global_batch for batch in job.batches),
        devices=job.parallelism.devices,
        first_lr=job.schedule[0].start,
        last_lr=job.schedule[-1].end,
        flops=training_flops(job),
        batches=tuple({**attrs.asdict(batch), "tokens": batch.tokens} for batch in job.batches),
        start_step=job.start_step,
    )


def _deduplication(draft: Draft) -> list[DedupSummary]:
    found = []
    for dataset in draft.experiment.data:
        for key, step in zip(sibling_keys(dataset.steps), dataset.steps, strict=True):
            if isinstance(step, Deduplicate) and step.near:
                chosen = banding(step.near)
                found.append(
                    DedupSummary(
                        step=f"{dataset.name}/{key}",
                        granularity=step.granularity,
                        bands=chosen.bands,
                        rows=chosen.rows,
                        threshold=round(chosen.threshold, 6),
                        curve=tuple((j, round(chosen.collision(j), 6)) for j in CURVE_AT),
                        chosen_for=step.near.threshold,
                    )
                )
    return found
