"""What has to hold of a job in every back end, and in how many processes; checked before anything is loaded.

Not the back ends' own limits (each checks those itself) and not the compiler's rules, which come first: a job may be
made by hand.
"""

from __future__ import annotations

from pathlib import Path

from compiler.errors import UserError
from compiler.trainjob import TrainJob
from runtime.training.schedule import check_schedule

AXES = ("tensor", "pipeline", "context", "data")


def check_stage(job: TrainJob, init: Path | None, ranks: int) -> None:
    """Raise UserError for a job that contradicts itself, what it starts from, or the number of processes."""
    if job.steps < 1 or job.micro_batch < 1:
        raise UserError(f"stage {job.stage} trains for {job.steps} steps, {job.micro_batch} sequences at a time")
    longest = max(phase.sequence_length for phase in job.batches)
    if longest > job.model.max_positions:
        raise UserError(
            f"stage {job.stage}: {longest} tokens a sequence, a model of {job.model.max_positions} positions",
            fix="raise the model's max_positions, or shorten the sequences",
        )
    if job.loss_on == "answer" and job.kind != "finetune":
        raise UserError(f"stage {job.stage}: loss on answers, but {job.kind} data has none", fix="use kind finetune")
    if (init is None) != (job.start_from == "random"):
        given = "no earlier stage" if init is None else f"the stage at {init}"
        raise UserError(f"stage {job.stage} starts from {job.start_from}, and was given {given}")
    if job.save_at is not None and not 1 <= job.save_at <= job.steps:
        raise UserError(f"stage {job.stage} is to keep its state at step {job.save_at} of {job.steps}")
    check_schedule(job.schedule, job.steps)
    _check_ranks(job, ranks)


def _check_ranks(job: TrainJob, ranks: int) -> None:
    split = job.parallelism
    if split.devices != ranks:
        axes = [f"parallelism.{axis}" for axis in AXES if getattr(split, axis) > 1] or ["parallelism.data"]
        raise UserError(
            f"stage {job.stage} wants {split.devices} devices ({' x '.join(axes)}), and runs in {ranks} processes",
            fix="submit it locally or to Slurm, which start a process per device, or change the stage's parallelism",
        )
    for number, phase in enumerate(job.batches):
        if phase.global_batch % split.data:
            raise UserError(
                f"stage {job.stage}: {split.data} devices cannot share the {phase.global_batch} sequences of a batch "
                "evenly",
                where=f"batches[{number}]",
                fix="make the global batch a multiple of parallelism.data",
            )


def check_whole_micro_batches(job: TrainJob) -> None:
    """Raise UserError where a replica's part of a batch is no whole number of micro batches, as Megatron needs."""
    for number, phase in enumerate(job.batches):
        share = phase.global_batch // job.parallelism.data
        if share % job.micro_batch:
            raise UserError(
                f"stage {job.stage}: {share} sequences of a batch on each of {job.parallelism.data} replicas are no "
                f"whole number of micro batches of {job.micro_batch}",
                where=f"batches[{number}]",
                fix="make global_batch a multiple of parallelism.data * micro_batch",
            )
