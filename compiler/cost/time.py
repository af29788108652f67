"""Expected wall seconds of one shard, for packing short shards, time limits and the account after a run.

An estimate from measured rates, not a promise: it enters no fingerprint and no result follows from it. What was never
measured is None, never zero. Sizes are those of a data set as it is read, so a step behind others, which reads what
they left of it, is as long as given here at most.

Rates are those of benchmarks/RESULTS.md on `epyc2`, start-up taken off; an MB is 10^6 bytes of text that is read:

    STARTUP        0.5 to 1.0 s from the start of a worker to its operator, and the first batch of that
    SIGN           near deduplication of 3,617 MB at 141 MB/s with 126 permutations and 80 MB/s with 2048
    REFINE         598 MB, nothing deduplicated, at 4.16 MB/s; redaction alone at 20.1 MB/s; without redaction and
                   rules, 3,617 MB at 103 MB/s
    ENCODE         11.81 MB/s with a vocabulary of 32,768
    EDGES          507,197 documents, 17 bands: 1.24 s each of 4 shards, 0.3 s each of 136
    PER_DOCUMENT   507,197 documents in one shard on two processors, less what 85,482 take
    SELECT, PACK   4.6 s for 3,617 MB and 1.9 s for 78 M tokens, on two processors
    TRAIN_BPE      7.8 s for 20 MB and a vocabulary of 32,768

Rates were measured on one kind of machine; of another it is only taken that it is no more than SLOWER times as slow
or as fast, until a past run there has told (`Calibration`). Speeds of training are in `devices.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from compiler import ir
from compiler.cost.devices import speed
from compiler.cost.disk import BYTES_A_TOKEN, FILES_A_REPOSITORY
from compiler.cost.flops import executed_flops, forward_per_token, training_flops
from compiler.cost.interval import UNKNOWN, Interval
from compiler.cost.size import Size
from compiler.plan import Resources, Task
from compiler.trainjob import ModelShape, TrainJob

STARTUP = 1.0
TRAIN_STARTUP = 2.0  # torch, the model and its first step, beside STARTUP
MB = 1e6

# Seconds for a MB.
SIGN, SIGN_PERMUTATION = 6.7e-3, 2.8e-6
REFINE_WRITE, REFINE_REDACT, REFINE_RULES = 0.010, 0.050, 0.180
ENCODE = 1 / 11.81
SELECT = 1.2e-3
TRAIN_BPE = 0.35

# Seconds for a document. A band that is cut into parts is read by each of them and grouped in parts.
EDGES_READ, EDGES_GROUP = 1.0e-7, 3.7e-7
PER_DOCUMENT: dict[type[ir.Operator], float] = {ir.DropTwins: 1.9e-6, ir.Cluster: 3.8e-6, ir.Downsample: 3.0e-6}

PACK = 2.1e-8  # for a token

SLOWER = 2.0
"""A processor of another machine may be so many times as fast or as slow as the one that was measured."""

LOADING = Interval(0, 10)
"""Seconds that an operator takes to load its libraries and to compile what numba has not cached: nothing in a shard of
minutes, and most of a small one. The miniature's sign took 5 s of processor time for it from a cold cache."""


@attrs.frozen(kw_only=True)
class Load:
    """What goes into a task: documents, bytes of their text and tokens, as far as it works on them."""

    documents: Interval = UNKNOWN
    text: Interval = UNKNOWN
    tokens: Interval = UNKNOWN

    @classmethod
    def of(cls, size: Size) -> Load:
        """A data set as it is read, whose tokens are as few bytes as they may be."""
        return cls(
            documents=Interval.exact(size.documents),
            text=Interval.exact(size.bytes),
            tokens=Interval.exact(size.bytes / BYTES_A_TOKEN),
        )


def shard_seconds(
    op: ir.Operator, size: Size | None, shards: int, asked: Resources, model: ModelShape | None = None
) -> float | None:
    """Wall seconds of one of `shards` shards that has what it asked for; None where that is not known.

    `size` is that of the data set as it is read, `model` is the one that is measured. Of a training
    job on devices of an unknown type it is the middle of what may be.

    >>> round(shard_seconds(ir.Refine(dataset="d", readers=()), Size(1_000, 10_000_000_000), 100, Resources()), 1)
    2.0
    >>> shard_seconds(ir.Encode(dataset="d"), None, 1, Resources())
    """
    if isinstance(op, ir.TrainOp):
        training = training_seconds(op.job, asked)
        return STARTUP + training.middle if training.is_known else None
    if isinstance(op, ir.BitsPerByte):
        if model is None or not op.max_bytes:
            return None
        limit = Interval.exact(op.max_bytes)
        whole = Interval.exact(scoring_flops(model, limit).high / BYTES_A_TOKEN)  # text is there up to the limit
        scoring = TRAIN_STARTUP + whole / _scoring_speed(asked, model.parameters)
        return STARTUP + scoring.middle if scoring.is_known else None
    work = measured_work(op, Load() if size is None else Load.of(size), shards)
    return STARTUP + work.high if work is not None and work.is_known else None


# ---------------------------------------------------------------- training and scoring


def model_of(tasks: Iterable[Task]) -> ModelShape | None:
    """The model that a plan's tasks train, and so the one that is measured; None where they train none."""
    return next((task.op.job.model for task in tasks if isinstance(task.op, ir.TrainOp)), None)


def device_of(asked: Resources, named: str | None) -> str | None:
    """The type of device that a task runs on: processors where it asks for no GPU, else what the profile names."""
    return named if asked.gpus else "cpu"


def training_seconds(
    job: TrainJob, asked: Resources, device: str | None = None, measured: Interval | None = None
) -> Interval:
    """Wall seconds of a training job on all its devices, of a type that is named or not, its start-up included.

    `measured` is the share of the peak that past runs reached. NeMo and Megatron on processors were not measured: they
    are for rehearsals, and take longest to load. Operations that are computed again count in full where it is slow: a
    GPU that computes whole layers again has been seen to lose less than that by it.
    """
    fast = speed(device_of(asked, device), job.model.parameters, measured) * devices_of(asked)
    seconds = TRAIN_STARTUP + Interval(training_flops(job), executed_flops(job)) / fast
    return seconds if asked.gpus or job.backend == "torch" else seconds.or_more()


def scoring_flops(model: ModelShape, text: Interval) -> Interval:
    """Forward passes, attention included, over windows of all positions that overlap by half: each token is read twice.

    Counted as training's are (Chowdhery et al. 2022, appendix B), without the backward pass. Of `text`, in bytes, no
    more is known than that a token is a byte at least. Documents shorter than a window are read once and attend to
    less.
    """
    return Interval(0, 2 * text.high * forward_per_token(model, model.max_positions))


def scoring_seconds(
    flops: Interval,
    asked: Resources,
    model: ModelShape,
    device: str | None = None,
    measured: Interval | None = None,
) -> Interval:
    """Wall seconds of these passes, on devices of a type that is named or not; `measured` is as of training.

    The prior of processors holds as it is for training: the miniature's model reached 0.45 of CPU_FLOPS if each token
    was read once, 0.9 if twice, 400,876 bytes at 2.7 a token in 7.8 to 9.3 s on two processors (RESULTS.md), of tokens
    that this bound takes for a byte.
    """
    return TRAIN_STARTUP + flops / _scoring_speed(asked, model.parameters, device, measured)


def _scoring_speed(
    asked: Resources, parameters: int, device: str | None = None, measured: Interval | None = None
) -> Interval:
    return speed(device_of(asked, device), parameters, measured) * devices_of(asked)


def devices_of(asked: Resources) -> int:
    """How many a task has of what it computes on: GPUs, or processors where it asks for none."""
    return (asked.gpus or asked.cpus) * asked.nodes


# ---------------------------------------------------------------- data


def work(op: ir.Operator, load: Load, shards: int) -> tuple[Interval, Interval]:
    """Units of work of one shard, and seconds for a unit.

    Where rates were measured the units are seconds by them. Else they are packages, documents, bytes or tokens, what a
    unit takes is not known, and past runs must tell.
    """
    units = measured_work(op, load, shards)
    if units is not None:
        return units, Interval.about(1, SLOWER)
    return _units(op, load) / shards, UNKNOWN


def measured_work(op: ir.Operator, load: Load, shards: int) -> Interval | None:
    """Seconds of one shard by the rates above, without its start; None where none was measured."""
    if isinstance(op, ir.TrainBPE):
        return load.text.at_most(op.sample_bytes) * (TRAIN_BPE / MB)
    megabytes = load.text / (MB * shards)
    if isinstance(op, ir.Sign):
        permutations = sum(key.bands * key.rows for key in op.near)
        return megabytes * (SIGN + permutations * SIGN_PERMUTATION)
    if isinstance(op, ir.Refine):
        redact = REFINE_REDACT if op.redact_copyright or op.redact_pii else 0.0
        rules = REFINE_RULES if op.rules or op.expressions else 0.0
        return megabytes * (REFINE_WRITE + redact + rules)
    if isinstance(op, ir.Encode):
        return megabytes * ENCODE
    if isinstance(op, ir.Select):
        return megabytes * SELECT
    if isinstance(op, ir.Pack):
        return load.tokens * PACK
    if isinstance(op, ir.Edges):
        bands = op.bands + op.exact
        items = load.documents / (FILES_A_REPOSITORY if op.granularity == "repository" else 1)
        return items * (max(1.0, bands / shards) * (EDGES_READ + EDGES_GROUP / max(1, shards // max(1, bands))))
    rate = PER_DOCUMENT.get(type(op))
    return None if rate is None else load.documents * rate


def rate_name(op: ir.Operator, vocab: int | None) -> str:
    """Tasks with one name take as long for a unit of work: those of an operator, yardsticks with the same order alone,
    and with a vocabulary of the same size, whose tokens are as many bytes.

    >>> rate_name(ir.NGram(stage="s", order=3), 400), rate_name(ir.Encode(dataset="d"), 400)
    ('eval.ngram/3/400', 'text.encode')
    """
    return f"{op.op_id}/{op.order}/{vocab}" if isinstance(op, ir.NGram) else op.op_id


def _units(op: ir.Operator, load: Load) -> Interval:
    """What an operator whose speed was never measured works through."""
    if isinstance(op, ir.FetchPackages):
        return Interval.exact(len(op.packages))
    if isinstance(op, ir.Draw):
        return Interval.exact(sum(phase.instances for phase in op.phases))
    if isinstance(op, ir.DrawSamples):
        return Interval.exact(op.steps * op.global_batch)
    if isinstance(op, ir.NGram):
        return load.tokens * BYTES_A_TOKEN + load.text
    return load.text if load.text.is_known else load.documents
