"""The NeMo back end: trains a `TrainJob` by `nemo.lightning.Trainer` with a MegatronStrategy.

Not Megatron's loop: forward, backward, the optimizer's turn and the scheduler's are NeMo's and Lightning's. What all
back ends share goes through its hooks: batches (`data`), the learning rate (`schedule`), the loss (`model`), and the
judgement of a step before its update, records and states (`run`). A run that goes on is a run of the steps that are
left: its states are Megatron's distributed checkpoints, as those of the Megatron back end, and NeMo's own are not
written.
"""

from __future__ import annotations

import logging
import os
import time
import warnings

import attrs

from compiler.errors import UserError
from compiler.trainjob import TrainJob
from runtime import interruption
from runtime.training.data import Batches, open_batches
from runtime.training.device import Device, choose_device, reproducible
from runtime.training.kernels import KernelChoice
from runtime.training.loop import Recorder, environment_of, recorder_of, tell, validation_of
from runtime.training.megatron.backend import check_job, prepare, train_in_group
from runtime.training.megatron.engine import newest_step
from runtime.training.request import Request


def train(request: Request) -> None:
    """Train one stage as `megatron.backend.train` does.

    Raises what that raises, and UserError where NeMo is missing or is one without language models.
    """
    job, ranks = request.job, request.ranks
    check_job(job, request.init, ranks.here.size)
    device = choose_device(job.precision, ranks.here)
    choice = prepare(job, device)
    load_nemo()
    job = attrs.evolve(job, precision=device.precision)
    recorder = recorder_of(request, job, device)
    with reproducible(request.threads), ranks.group(device.torch, always=True):
        batches = open_batches(job, request.tokens, request.blend)
        loss_tokens = batches.loss_tokens()
        first = newest_step(job, request.resume, ranks)
        # A trainer of no steps builds no model. What is left then is to write the outputs, from the same kind of state.
        run = train_in_group if first == job.steps else _fit
        seconds = run(request, job, batches, device, choice, recorder, first)
    if ranks.leads:
        told = {"kernels": choice.describe()}
        figures = {**recorder.summary(first, seconds), "loss_tokens": loss_tokens, **told}
        tell(request, {**environment_of(request, device), **told}, figures)


def _fit(
    request: Request,
    job: TrainJob,
    batches: Batches,
    device: Device,
    choice: KernelChoice,
    recorder: Recorder,
    first: int,
) -> float:
    """As `train_in_group`, by NeMo's trainer."""
    from runtime.training.nemo.run import Run

    if request.ranks.any(request.stop()):
        raise interruption.Interrupted(first)
    run = Run(request, job, batches, device, choice, recorder, first)
    recorder.validation = validation_of(request, job, run.score)
    began = time.perf_counter()
    with recorder.open(first), request.ranks.computing():
        run.fit()
    seconds = time.perf_counter() - began
    run.engine.write_outputs(request)
    return seconds


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
