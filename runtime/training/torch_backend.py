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

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compiler.errors import UserError
from compiler.trainjob import TrainJob
from runtime import interruption
from runtime.training.checkpoint import save_hf_weights
from runtime.training.checks import check_stage
from runtime.training.compilation import choose_compilation
from runtime.training.data import open_batches
from runtime.training.device import choose_device, keep_freed_memory, reproducible
from runtime.training.loop import Recorder, copy_records, run_steps
from runtime.training.ranks import Ranks
from runtime.training.sealed import write_sealed
from runtime.training.trainer import Trainer
from runtime.training.validation import Validation, open_held_out
from runtime.training.watch import Watchers


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
    held_out: Path | None = None,
    stop: Callable[[], bool] = interruption.requested,
) -> None:
    """Train one stage from its start, or from the newest whole state under `resume`.

    `tokens` are token directories in the order of the blend's datasets; `init` is the output of the stage
    before; `tokenizer` a tokenizer.json to put beside the weights; `held_out` the text that the job measures on
    (`validation`). A line of metrics is one optimizer step:
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
    watchers = Watchers(device.torch, device.precision, ranks.here.size)
    recorder = Recorder(job, resume, ranks.leads, progress, watchers)
    with reproducible(threads):
        batches = open_batches(job, tokens, blend)
        loss_tokens = batches.loss_tokens()
        with ranks.group(device.torch):
            compilation = choose_compilation(job, device.torch, ranks)
            trainer = Trainer.start(job, device, init, ranks, compilation=compilation)
            first = trainer.restore(resume)
            if job.validate_every and held_out is not None:
                recorder.validation = Validation(job, open_held_out(job, held_out), trainer.score, ranks)
            seconds = run_steps(trainer, job, batches, ranks, recorder, first, stop)
            weights, moments = trainer.weights(), trainer.moments()
        if not ranks.leads:
            return
        save_hf_weights(weights, job.model, out / "checkpoint", tokenizer, bos_eos)
        write_sealed(out / "state", moments, trainer.facts(job.steps))
        copy_records(job, resume, out)
    environment |= {**compilation.describe(), "split": trainer.sharding.kind, "recompute": job.recompute}
    (out / "log" / "environment.json").write_text(json.dumps(environment, indent=1) + "\n")
    stats.update(recorder.summary(first, seconds), loss_tokens=loss_tokens)


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
