"""The torch back end: trains a `TrainJob` on one device or on several, and resumes to the bit.

Not a splitter of matrices, layers or sequences: a job that wants that is refused (the NeMo and Megatron back ends take
it). With several ranks each takes an equal run of every batch; they hold the whole model each, or parts of its
optimizer's state, its weights and its gradients (`sharding`). Rank 0 alone writes; losses differ from those of one rank
by the rounding of other sums.

A run goes on after any kill from the last state that it saved. Asked to stop, it saves the state of that very step,
whatever `checkpoint_every` says, and raises `runtime.interruption.Interrupted`; the next attempt ends with the bytes
of an unbroken run (of as many ranks and threads, split and compiled alike).

The run itself, and what lies under `resume` while it lasts, is `loop`'s. When done, `out` gets `checkpoint/` (Hugging
Face layout), `state/` (the moments, for a following stage; `state/step-*/` has weights and moments at `save_at`),
`metrics/metrics.jsonl`, `log/timings.jsonl` and `log/environment.json`. All but `log/` is the same bytes each time.
"""

from __future__ import annotations

from pathlib import Path

from compiler.errors import UserError
from compiler.trainjob import TrainJob
from runtime.training.checkpoint import save_hf_weights
from runtime.training.checks import check_stage
from runtime.training.compilation import choose_compilation
from runtime.training.data import open_batches
from runtime.training.device import choose_device, keep_freed_memory, reproducible
from runtime.training.loop import copy_records, environment_of, recorder_of, run_steps, tell, validation_of
from runtime.training.request import Request
from runtime.training.sealed import write_sealed
from runtime.training.trainer import Trainer


def train(request: Request) -> None:
    """Train one stage from its start, or from the newest whole state under `request.resume`.

    Rank 0 reads `init` and `resume` and writes. Raises UserError for a job, data or state that cannot be used, and
    where the job's guard ends it; Interrupted at the first border of two steps at which `stop()` is true on some rank.
    """
    job, ranks, out = request.job, request.ranks, request.out
    check_job(job, request.init, ranks.here.size)
    device = choose_device(job.precision, ranks.here)
    environment = {**environment_of(request, device), "freed_memory_kept": keep_freed_memory()}
    recorder = recorder_of(request, job, device)
    with reproducible(request.threads):
        batches = open_batches(job, request.tokens, request.blend)
        loss_tokens = batches.loss_tokens()
        with ranks.group(device.torch):
            compilation = choose_compilation(job, device.torch, ranks)
            trainer = Trainer.start(job, device, request.init, ranks, compilation=compilation)
            first = trainer.restore(request.resume)
            recorder.validation = validation_of(request, job, trainer.score)
            seconds = run_steps(trainer, job, batches, ranks, recorder, first, request.stop)
            weights, moments = trainer.weights(), trainer.moments()
        if not ranks.leads:
            return
        save_hf_weights(weights, job.model, out / "checkpoint", request.tokenizer, request.bos_eos)
        write_sealed(out / "state", moments, trainer.facts(job.steps))
        copy_records(job, request.resume, out)
    environment |= {**compilation.describe(), "split": trainer.sharding.kind}
    tell(request, environment, {**recorder.summary(first, seconds), "loss_tokens": loss_tokens})


def check_job(job: TrainJob, init: Path | None, ranks: int = 1) -> None:
    """Raise UserError for a job that this back end cannot run as it is written, or not in that many processes."""
    split = job.parallelism
    for axis in ("tensor", "pipeline", "context"):
        if getattr(split, axis) > 1:
            raise UserError(
                f"stage {job.stage} wants {split.devices} devices, {getattr(split, axis)} of them {axis} parallel "
                f"(parallelism.{axis}); torch splits the batch only",
                fix=f"use the nemo or megatron back end, or set {axis} to 1",
            )
    check_stage(job, init, ranks)
