"""The Megatron back end: trains a `TrainJob` with megatron-core on any split over tensor, pipeline and data ranks.

Not NeMo's loop and not Megatron-LM's: the run is `runtime.training.loop`'s, the batches are those that every back end
reads, and the learning rate is the job's own schedule. Megatron-core gives the model, its schedules of micro batches,
gradient buffers, the optimizer and distributed checkpoints. Without CUDA it runs on Gloo (`cpu`), for a look at
everything but speed.

`resume/step-*/` are Megatron's distributed checkpoints, sealed; a run goes on from one at any number of ranks and any
split. What a finished stage leaves is what the torch back end leaves, so that either can follow the other.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import attrs

from compiler.emit.megatron import padded_vocab_size
from compiler.errors import UserError
from compiler.trainjob import TrainJob
from runtime.training import kernels
from runtime.training.checks import check_stage, check_whole_micro_batches
from runtime.training.data import Batches, open_batches
from runtime.training.device import Device, choose_device, reproducible
from runtime.training.loop import Recorder, environment_of, recorder_of, run_steps, tell, validation_of
from runtime.training.megatron import cpu
from runtime.training.megatron.engine import MegatronEngine, newest_step
from runtime.training.request import Request


def train(request: Request) -> None:
    """Train one stage as `torch_backend.train` does; all ranks see `init` and `resume` on one file system.

    Raises what that raises, and UserError where megatron-core is missing or does not take the job.
    """
    job, ranks = request.job, request.ranks
    check_job(job, request.init, ranks.here.size)
    device = choose_device(job.precision, ranks.here)
    choice = prepare(job, device)
    job = attrs.evolve(job, precision=device.precision)
    recorder = recorder_of(request, job, device)
    with reproducible(request.threads), ranks.group(device.torch, always=True):
        batches = open_batches(job, request.tokens, request.blend)
        loss_tokens = batches.loss_tokens()
        first = newest_step(job, request.resume, ranks)
        seconds = train_in_group(request, job, batches, device, choice, recorder, first)
    if ranks.leads:
        told = {"kernels": choice.describe()}
        figures = {**recorder.summary(first, seconds), "loss_tokens": loss_tokens, **told}
        tell(request, {**environment_of(request, device), **told}, figures)


def train_in_group(
    request: Request,
    job: TrainJob,
    batches: Batches,
    device: Device,
    choice: kernels.KernelChoice,
    recorder: Recorder,
    first: int,
) -> float:
    """Train from step `first` (0-based) to the end of a job and write its outputs; the seconds that it took."""
    from runtime.training.megatron import build

    with build.groups(job):
        engine = MegatronEngine(job, build.build(job, choice, device), device, request.ranks)
        engine.start(request.init, request.resume, first)
        recorder.validation = validation_of(request, job, engine.score)
        seconds = run_steps(engine, job, batches, request.ranks, recorder, first, request.stop)
        engine.write_outputs(request)
    return seconds


def check_job(job: TrainJob, init: Path | None, ranks: int = 1) -> None:
    """Raise UserError for a job that Megatron cannot run as it is written, or not in that many processes."""
    check_stage(job, init, ranks)
    check_whole_micro_batches(job)
    if job.validate_every and job.parallelism.context > 1:
        raise UserError(
            f"stage {job.stage} is to be measured while it trains, and splits sequences over devices",
            fix="set validate_every to 0, or parallelism.context to 1",
        )
    if job.parallelism.fully_sharded:
        raise UserError(f"stage {job.stage} wants its weights sharded; Megatron splits them by tensor and pipeline")
    if padded_vocab_size(job) != job.model.vocab_size:
        raise UserError(
            f"stage {job.stage}: {job.parallelism.tensor} tensor-parallel ranks cannot share the "
            f"{job.model.vocab_size} rows of the vocabulary evenly",
            fix="make vocab_size a multiple of parallelism.tensor: padded rows would enter the loss",
        )


def prepare(job: TrainJob, device: Device) -> kernels.KernelChoice:
    """Choose kernels and make ready what Megatron looks at while it is imported; UserError where it is missing."""
    warnings.filterwarnings("ignore", module=r"(megatron|nemo|lightning|torch)\b")  # what they say of one another
    choice = kernels.choose(job.kernels, kernels.probe(), device.torch.type)
    if job.parallelism.context > 1 and not choice.transformer_engine:
        raise UserError(
            f"stage {job.stage} splits sequences over {job.parallelism.context} devices, which only Transformer "
            f"Engine's attention does; {choice.reason}",
            fix="train where Transformer Engine is, or set parallelism.context to 1",
        )
    kernels.hide_not_taken(choice)
    needs_cpu = device.torch.type != "cuda"
    if needs_cpu:
        cpu.install()
    try:
        import megatron.core  # noqa: F401 - whether it is there
    except ImportError as error:
        raise UserError(
            f"megatron-core cannot be imported: {error}",
            fix="`make install-training`, and name its interpreter in the profile's class train (python = ...)",
        ) from error
    if needs_cpu:
        cpu.install_in_megatron()
    return choice
