"""The NeMo back end: trains a `TrainJob` by `nemo.lightning.Trainer` with a MegatronStrategy.

Not Megatron's loop: forward, backward, the optimizer's turn and the scheduler's are NeMo's and Lightning's. What all
back ends share goes through its hooks: batches (`data`), the learning rate (`schedule`), the loss (`model`), and the
judgement of a step before its update, records and states (`run`). A run that goes on is a run of the steps that are
left: its states are Megatron's distributed checkpoints, as those of the Megatron back end, and NeMo's own are not
written.
"""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from compiler.errors import UserError
from compiler.trainjob import TrainJob
from runtime import interruption
from runtime.training.data import open_batches
from runtime.training.device import choose_device, reproducible
from runtime.training.loop import Recorder, require_validation
from runtime.training.megatron.backend import check_job, prepare
from runtime.training.megatron.engine import newest_step
from runtime.training.ranks import Ranks
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
    stop: Callable[[], bool] = interruption.requested,
    held_out: Path | None = None,
) -> None:
    """Train one stage as `megatron.backend.train` does.

    Raises what that raises, and UserError where NeMo is missing or is one without language models.
    """
    ranks = ranks or Ranks.one()
    check_job(job, init, ranks.here.size)
    device = choose_device(job.precision, ranks.here)
    choice = prepare(job, device)
    load_nemo()
    from runtime.training.nemo.run import Run

    environment = {**device.describe(), "ranks": ranks.here.size, "threads": threads, "kernels": choice.describe()}
    job = attrs.evolve(job, precision=device.precision)
    watchers = Watchers(device.torch, device.precision, ranks.here.size)
    recorder = Recorder(job, resume, ranks.leads, progress, watchers)
    with reproducible(threads), ranks.group(device.torch, always=True):
        batches = open_batches(job, tokens, blend)
        loss_tokens = batches.loss_tokens()
        first = newest_step(job, resume, ranks)
        if ranks.any(stop()):
            raise interruption.Interrupted(first)
        run = Run(job, batches, device, choice, ranks, recorder, stop, first)
        if job.validate_every and held_out is not None:
            recorder.validation = Validation(job, open_held_out(job, held_out), run.score, ranks)
        require_validation(job, recorder)
        began = time.perf_counter()
        with recorder.open(first):
            run.fit(init, resume)
        seconds = time.perf_counter() - began
        run.engine.write_outputs(out, resume, tokenizer, bos_eos)
        if not ranks.leads:
            return
    (out / "log" / "environment.json").write_text(json.dumps(environment, indent=1) + "\n")
    stats.update(recorder.summary(first, seconds), loss_tokens=loss_tokens, kernels=choice.describe())


def load_nemo() -> None:
    """Import NeMo; UserError where it is missing, or is one of the versions that train no language models."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here is to be fetched while a job runs
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that this line of NeMo is the last one is known
            from nemo.collections import llm
    except ImportError as error:
        raise UserError(
            f"NeMo's language models cannot be imported: {error}",
            fix="`make install-training`, and name its interpreter in the profile's class train (python = ...)",
        ) from error
    if not hasattr(llm, "pretrain"):  # it swallows the failure of an import of its own
        raise UserError(
            "nemo.collections.llm is there, but without its training functions: a package that they need is missing",
            fix="`make install-training` installs a set of versions that works",
        )
    for name in ("nemo_logger", "nemo", "lightning.pytorch", "megatron.core"):
        logging.getLogger(name).setLevel(logging.ERROR)
