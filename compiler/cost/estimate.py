"""What the tasks of a plan take: documents, bytes, tokens, FLOPs, hours, memory and disk, as intervals.

Pure: it looks at a plan, a profile and what past runs told, and opens no file. Nothing of it enters a fingerprint or
a plan. How to read it, and how far it can be wrong: docs/how-to/cost.md.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping

import attrs

from compiler import ir
from compiler.cost.calibration import PRIORS, Calibration
from compiler.cost.disk import temporary_disk
from compiler.cost.flops import executed_flops, training_flops
from compiler.cost.interval import NOTHING, UNKNOWN, Interval, greatest
from compiler.cost.interval import total as add
from compiler.cost.memory import FP32, rank_memory
from compiler.cost.size import Size
from compiler.cost.time import (
    LOADING,
    STARTUP,
    TRAIN_STARTUP,
    Load,
    device_of,
    devices_of,
    model_of,
    rate_name,
    scoring_flops,
    scoring_seconds,
    training_seconds,
    work,
)
from compiler.cost.walk import MIB, Step, vocabulary, walk
from compiler.emit.sbatch import request, spread_devices
from compiler.packing import pack
from compiler.plan import Plan, Resources, Task
from compiler.profile import Profile, Settings
from compiler.trainjob import ModelShape

HOUR = 3600.0
REPEATED = 1.25
"""What a task took is taken to come again within this factor: machines are shared, and disks are cold or warm."""

MEMORY_REPEATED = 1.15
"""The same of memory."""

SUMMED = (
    *("documents", "bytes_read", "bytes_written", "tokens", "flops"),
    *("gpu_hours", "cpu_hours", "seconds"),
)
GREATEST = ("memory_mb", "disk_mb")
SMALLEST_WORKER_MB = 100
"""MiB of a worker that has loaded its libraries and no data: the miniature's smallest peaks are 160."""

TORCH_PROCESS_MB = Interval(450, 670)
TORCH_HELD = Interval(1.0, 1.25)
"""MiB of a process that trains on processors, and how much of what `rank_memory` counts is held twice in passing.

Measured on 2026-11-30 with the miniature's model at micro batches of 4 to 64 sequences, 8 layers, a feed-forward of
1,024 and full recomputation: peaks of 513 to 1,282 MiB where 56 to 668 are counted. glibc keeps what was freed.
"""

WITH_TOKENS = ir.TrainOp | ir.Encode | ir.Pack | ir.EncodePairs


@attrs.frozen(kw_only=True)
class Estimate:
    """Of one task, all its shards together; `memory_mb` and `disk_mb` are the peak of one shard or rank (2^20 bytes).

    `documents` and `bytes_read` go in, `bytes_written` (without logs) and `tokens` come out or are trained on. `flops`
    are executed, those of recomputation with them. Hours are of what is allocated, used or not. `seconds` are wall
    seconds, with as many shards at a time as the profile allows, without waiting in a queue. Nothing is exactly 0 that
    is only not known.
    """

    documents: Interval = UNKNOWN
    bytes_read: Interval = UNKNOWN
    bytes_written: Interval = UNKNOWN
    tokens: Interval = UNKNOWN
    flops: Interval = UNKNOWN
    gpu_hours: Interval = UNKNOWN
    cpu_hours: Interval = UNKNOWN
    seconds: Interval = UNKNOWN
    memory_mb: Interval = UNKNOWN
    disk_mb: Interval = UNKNOWN

    def counted(self, action: str) -> Estimate:
        """What a task that is to be built adds to a sum: nothing, or all of it, where it may be cut off."""
        if action != "may cut off":
            return self
        return Estimate(**{name: value.or_less() for name, value in attrs.asdict(self, recurse=False).items()})


def estimate(
    plan: Plan,
    profile: Profile | None = None,
    calibration: Calibration = PRIORS,
    wanted: Collection[str] | None = None,
) -> dict[str, Estimate]:
    """What each task takes where it is run, by its id; of `wanted` ids, or of all. No profile is this machine's."""
    steps = walk(plan, calibration)
    place = _Place(
        profile=profile or Profile(), calibration=calibration, model=model_of(plan.tasks), vocab=vocabulary(plan)
    )
    asked = plan.tasks if wanted is None else [task for task in plan.tasks if task.id in wanted]
    return {task.id: _estimate(task, steps[task.id], place) for task in asked}


def total(estimates: Iterable[Estimate]) -> Estimate:
    """All of them together: sums, but memory and disk are the greatest. `seconds` are one task after another."""
    found = list(estimates)
    sums = {name: add(getattr(one, name) for one in found) for name in SUMMED}
    peaks = {name: greatest(getattr(one, name) for one in found) for name in GREATEST}
    return Estimate(**sums, **peaks)


def critical_path(plan: Plan, estimates: Mapping[str, Estimate], task_ids: Iterable[str]) -> Interval:
    """Wall seconds of these tasks if everything that does not wait for another runs at once; others take none."""
    wanted = set(task_ids)
    end: dict[str, Interval] = {}
    for task in plan.tasks:  # each stands after all that it reads
        own = estimates[task.id].seconds if task.id in wanted else NOTHING
        end[task.id] = greatest(end[before] for before in task.upstream) + own
    return greatest(end.values())


@attrs.frozen(kw_only=True)
class _Place:
    """Where it runs, what is known of it, the model that is measured, None where the plan trains none, and ids of the
    tokenizer.
    """

    profile: Profile
    calibration: Calibration
    model: ModelShape | None
    vocab: int


def _estimate(task: Task, step: Step, place: _Place) -> Estimate:
    op, given = task.op, _allocated(task.resources, place.profile)
    shard = _shard_seconds(task, step, place)
    hours = shard * (task.shards * given.nodes / HOUR)
    return Estimate(
        documents=step.into.documents.whole(),
        bytes_read=step.bytes_read.whole(),
        bytes_written=step.out.written.whole(),
        tokens=step.out.tokens.whole() if isinstance(op, WITH_TOKENS) else NOTHING,
        flops=Interval.exact(executed_flops(op.job)) if isinstance(op, ir.TrainOp) else _scoring_flops(op, step, place),
        gpu_hours=hours * given.gpus,
        cpu_hours=hours * given.cpus,
        seconds=shard * _waves(task, place),
        memory_mb=_memory(task, given.memory_mb, place),
        disk_mb=_disk(task, step),
    )


def _allocated(asked: Resources, profile: Profile) -> Resources:
    """What a task is given: on a cluster the profile's figures go before its own, as in its batch script."""
    if profile.dispatch != "slurm":
        return asked
    settings = profile.settings(asked.task_class)
    spread, options = spread_devices(asked, settings.gpus_per_node), request(asked, settings)
    cpus = options["cpus_per_task"] * options["ntasks_per_node"]
    return attrs.evolve(spread, cpus=cpus, memory_mb=settings.memory_mb or spread.memory_mb)


# ---------------------------------------------------------------- time


def _shard_seconds(task: Task, step: Step, place: _Place) -> Interval:
    """Wall seconds of one shard, its start with it."""
    op, asked, calibration = task.op, task.resources, place.calibration
    known = calibration.known.get(task.fingerprint)
    if known is not None and known.seconds is not None:
        return STARTUP + Interval.about(known.seconds, REPEATED)
    device = device_of(asked, place.profile.settings(asked.task_class).device)
    if isinstance(op, ir.TrainOp):
        measured = calibration.reached(device, op.job.backend, training_flops(op.job), op.job.model.parameters)
        return STARTUP + training_seconds(op.job, asked, device, measured)
    if isinstance(op, ir.BitsPerByte) and place.model:
        return STARTUP + _scoring_seconds(step.out.text, asked, place.model, device, calibration)
    text = step.out.text if isinstance(op, ir.NGram) else step.into.text
    units, rate = work(op, Load(documents=step.into.documents, text=text, tokens=step.into.tokens), task.shards)
    past, prior = calibration.rates.get(rate_name(op, place.vocab)), LOADING + units * rate
    return STARTUP + (prior if past is None else past.seconds(units, prior))


def _scoring_seconds(
    text: Interval, asked: Resources, model: ModelShape, device: str | None, calibration: Calibration
) -> Interval:
    """What models like this one took to score, else by the speed that one like it was trained with, else a prior."""
    flops = scoring_flops(model, text)
    of_device = Interval(flops.high if text.is_exact else 0, flops.high) / devices_of(asked)
    past = calibration.scoring(device, model, of_device, TRAIN_STARTUP)
    if past is not None:
        return past * Interval.about(1, REPEATED)
    return scoring_seconds(
        flops, asked, model, device, calibration.reached(device, "torch", flops.high, model.parameters)
    )


def _waves(task: Task, place: _Place) -> Interval:
    """How many times one shard's wall time a task takes: its shards over those that run at once."""
    if task.shards == 1:
        return Interval.exact(1)
    if place.profile.dispatch == "inline":
        return Interval.exact(task.shards)
    if place.profile.dispatch == "slurm":
        return Interval.exact(_turns(task, place.profile.settings(task.resources.task_class)))
    processors = place.profile.workers or place.calibration.processors
    if processors is None:
        return Interval(1, task.shards)
    at_once = min(task.shards, max(1, processors // min(task.resources.cpus, processors)))
    return Interval.exact(math.ceil(task.shards / at_once))


def _turns(task: Task, settings: Settings) -> int:
    """The same of an array: those that share a job run one after another, and no more jobs at once than it may have."""
    jobs = pack(range(task.shards), task.resources.seconds, settings.shards_per_job or 0, settings.minutes)
    limit = settings.max_parallel_shards or len(jobs)
    return max(map(len, jobs)) * math.ceil(len(jobs) / limit)


def _scoring_flops(op: ir.Operator, step: Step, place: _Place) -> Interval:
    """Forward passes of an evaluation."""
    if isinstance(op, ir.BitsPerByte) and place.model:
        return scoring_flops(place.model, step.out.text)
    return UNKNOWN if isinstance(op, ir.Benchmark | ir.BitsPerByte) else NOTHING


# ---------------------------------------------------------------- memory and disk


def _memory(task: Task, given_mb: int, place: _Place) -> Interval:
    """Of one shard or rank. A GPU's holds at least what the formulae say; others no more than they are given.

    Past runs of an operator tell how little it takes, and whether it may take more than that.
    """
    op, asked, calibration = task.op, task.resources, place.calibration
    known = calibration.known.get(task.fingerprint)
    if known is not None and known.peak_memory_mb is not None and not asked.gpus:
        return Interval.about(known.peak_memory_mb, MEMORY_REPEATED)
    if isinstance(op, ir.TrainOp):
        if asked.gpus:
            return Interval(rank_memory(op.job, FP32 if op.job.precision == "fp32" else 2).total / MIB, math.inf)
        counted = rank_memory(op.job, 2 if op.job.precision == "bf16" else FP32)
        most = (
            counted.total - counted.gradients + FP32 * op.job.model.parameters
        )  # all gradients, whenever they are made
        process = TORCH_PROCESS_MB + TORCH_HELD * (Interval(counted.total, max(counted.total, most)) / MIB)
        return process if op.job.backend == "torch" else process.or_more()
    measured = calibration.memory.get(op.op_id)
    least = measured.low if measured else SMALLEST_WORKER_MB
    return Interval(min(least, given_mb), max(given_mb, measured.high if measured else 0))


def _disk(task: Task, step: Step) -> Interval:
    """Temporary disk of one shard: nothing where it fits into memory, at most all of the widest table.

    What DuckDB makes of a crawl's scores was not measured.
    """
    if isinstance(task.op, ir.ExpandWeb | ir.SettleWeb):
        return UNKNOWN
    documents, text = step.into.documents.high, step.into.text.high
    known = documents < math.inf and text < math.inf
    most = temporary_disk(task.op, Size(round(documents), round(text)) if known else None, task.shards)
    return UNKNOWN if most is None else Interval(0, most / MIB)
