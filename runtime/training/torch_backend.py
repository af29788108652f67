"""The torch back end: trains a `TrainJob` on one device or data parallel on several, and resumes to the bit.

Not a sharded trainer: every rank holds the whole model, and a job that splits matrices, layers or sequences is
refused (the NeMo and Megatron back ends take those). With several ranks each takes an equal run of every batch, and
rank 0 alone writes; losses differ from those of one rank by the rounding of other sums.

A run goes on after any kill from the last state that it saved. Asked to stop, it saves the state of that very step,
whatever `checkpoint_every` says, and raises `runtime.interruption.Interrupted`; the next attempt ends with the bytes
of an unbroken run (of as many ranks and threads).

While it runs, all that must survive a kill lies under `resume`: `step-*/` (model, moments, RNG; the last
two), `saved/` (the state at `job.save_at`), `metrics.jsonl`, `timings.jsonl`. When done, `out` gets
`checkpoint/` (Hugging Face layout), `state/` (the moments, for a following stage; `state/step-*/` has weights
and moments at `save_at`), `metrics/metrics.jsonl`, `log/timings.jsonl` and `log/environment.json`. All but
`log/` is the same bytes each time.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import attrs

from compiler.errors import UserError
from compiler.trainjob import TrainJob
from runtime import interruption
from runtime.training.checkpoint import save_hf
from runtime.training.data import open_batches
from runtime.training.device import choose_device, keep_freed_memory, reproducible
from runtime.training.ranks import Ranks
from runtime.training.schedule import check_schedule
from runtime.training.sealed import step_directory, write_sealed
from runtime.training.steplog import StepLog
from runtime.training.trainer import Trainer


def train(
    job: TrainJob,
    *,
    tokens: list[Path],
    blend: Path,
    init: Path | None,
    out: Path,
    resume: Path,
    threads: int,
    tokenizer: Path | None,
    progress: Callable[[int, int, str], None],
    stats: dict[str, Any],
    bos_eos: tuple[int, int] | None = None,
    ranks: Ranks | None = None,
    stop: Callable[[], bool] = interruption.requested,
) -> None:
    """Train one stage from its start, or from the newest whole state under `resume`.

    `tokens` are token directories in the order of the blend's datasets; `init` is the output of the stage
    before; `tokenizer` a tokenizer.json to put beside the weights. A line of metrics is one optimizer step:
    `step` (from 1), `loss` (nats per predicted token, before the update), `lr`, `grad_norm` (before
    clipping), `tokens` (so far, padding included). Every rank of `ranks` calls this with the same job; rank 0
    reads `init` and `resume` and writes. Raises UserError for a job, data or state that cannot be used, and on a
    loss that is not finite; Interrupted at the first border of two steps at which `stop()` is true on some rank.
    """
    ranks = ranks or Ranks.one()
    check_job(job, init, ranks.here.size)
    device = choose_device(job.precision, ranks.here)
    environment = {
        **device.describe(),
        "ranks": ranks.here.size,
        "threads": threads,
        "freed_memory_kept": keep_freed_memory(),
    }
    with reproducible(threads):
        batches = open_batches(job, tokens, blend)
        loss_tokens = batches.loss_tokens()
        with ranks.group(device.torch):
            trainer = Trainer.start(job, batches, device, init, ranks)
            first = trainer.restore(resume)
            seconds = _run_steps(trainer, first, resume, progress, stop)
        if not ranks.leads:
            return
        _write_outputs(trainer, out, resume, tokenizer, bos_eos)
    (out / "log" / "environment.json").write_text(json.dumps(environment, indent=1) + "\n")
    last = json.loads((resume / "metrics.jsonl").read_text().splitlines()[-1])
    stats.update(
        steps=job.steps,
        parameters=job.model.parameters,
        tokens=job.tokens,
        loss_tokens=loss_tokens,
        final_loss=last["loss"],
        resumed_from_step=first,
        seconds=seconds,
        tokens_per_second=sum(map(trainer.tokens_of, range(first, job.steps))) / max(seconds, 1e-9),
    )


def check_job(job: TrainJob, init: Path | None, ranks: int = 1) -> None:
    """Raise UserError for a job that this back end cannot run as it is written, or not in that many processes."""
    _check_split(job, ranks)
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


def _check_split(job: TrainJob, ranks: int) -> None:
    split = job.parallelism
    for axis in ("tensor", "pipeline", "context"):
        if getattr(split, axis) > 1:
            raise UserError(
                f"stage {job.stage} wants {split.devices} devices, {getattr(split, axis)} of them {axis} parallel "
                f"(parallelism.{axis}); torch splits the batch only",
                fix=f"use the nemo or megatron back end, or set {axis} to 1",
            )
    if split.data != ranks:
        raise UserError(
            f"stage {job.stage} wants {split.data} devices (parallelism.data), and runs in {ranks} processes",
            fix="submit it locally or to Slurm, which start a process per device, or set data to 1",
        )
    for number, phase in enumerate(job.batches):
        if phase.global_batch % ranks:
            raise UserError(
                f"stage {job.stage}: {ranks} devices cannot share the {phase.global_batch} sequences of a batch evenly",
                where=f"batches[{number}]",
                fix="make the global batch a multiple of parallelism.data",
            )


def _run_steps(
    trainer: Trainer,
    first: int,
    resume: Path,
    progress: Callable[[int, int, str], None],
    stop: Callable[[], bool],
) -> float:
    """Train from step `first` to the end, saving as the job says; the seconds that it took."""
    began, ranks = time.perf_counter(), trainer.ranks
    if ranks.any(stop()):
        raise interruption.Interrupted(first)
    with _records(trainer, resume, first) if ranks.leads else nullcontext() as records:
        for line in trainer.steps(first):
            step, stopping = line["step"], ranks.any(stop())
            if records:
                records.keep(line, stopping)
                progress(step, trainer.job.steps, "steps")
            if stopping:
                ranks.barrier()  # a launcher may end all ranks when one has ended, so none does before the save
                raise interruption.Interrupted(step)
    return time.perf_counter() - began


@contextmanager
def _records(trainer: Trainer, resume: Path, first: int) -> Iterator[_Records]:
    resume.mkdir(parents=True, exist_ok=True)
    with (
        StepLog(resume / "metrics.jsonl", first) as metrics,
        StepLog(resume / "timings.jsonl", first) as timings,
    ):
        yield _Records(trainer, resume, metrics, timings)


@attrs.frozen
class _Records:
    """What rank 0 keeps of a run while it runs: metrics, timings and states."""

    trainer: Trainer
    resume: Path
    metrics: StepLog
    timings: StepLog

    def keep(self, line: dict[str, Any], stopping: bool) -> None:
        """The lines of one step, and the states that are due after it."""
        job, step = self.trainer.job, line["step"]
        self.metrics.append(line)
        self.timings.append(_timing(step, self.trainer.tokens_of(step - 1), self.trainer.seconds))
        if step == job.save_at:
            self.trainer.save_for_stage(self.resume / "saved", step)
        if stopping or (job.checkpoint_every and step % job.checkpoint_every == 0):
            self.metrics.sync()
            self.timings.sync()
            self.trainer.save_for_resume(self.resume, step)


def _write_outputs(
    trainer: Trainer, out: Path, resume: Path, tokenizer: Path | None, bos_eos: tuple[int, int] | None
) -> None:
    """Write what the stage leaves behind; replaces what an attempt that was killed here had written."""
    job = trainer.job
    save_hf(trainer.model, job.model, out / "checkpoint", tokenizer, bos_eos)
    write_sealed(out / "state", trainer.moments(), trainer.facts(job.steps))
    if job.save_at is not None:
        shutil.copytree(resume / "saved", step_directory(out / "state", job.save_at), dirs_exist_ok=True)
    for name, output in (("metrics.jsonl", "metrics"), ("timings.jsonl", "log")):
        (out / output).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(resume / name, out / output / name)


def _timing(step: int, tokens: int, seconds: float) -> dict[str, Any]:
    return {
        "step": step,
        "seconds": round(seconds, 6),
        "tokens_per_second": round(tokens / max(seconds, 1e-9), 1),
    }
