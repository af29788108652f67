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
    CPU_FLOPS      the four stages of the miniature, 1.446e13 FLOPs, in 156 s on two processors, fp32
"""

from __future__ import annotations

from compiler import ir
from compiler.cost.disk import BYTES_A_TOKEN, FILES_A_REPOSITORY
from compiler.cost.flops import training_flops
from compiler.cost.size import Size
from compiler.plan import Resources

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

CPU_FLOPS = 46e9
"""FLOP/s of training on one processor."""

GPU_FLOPS = 300e12
"""FLOP/s of training on one device of a full-size job: 0.30 of the 989e12 of an H100 or H800 SXM in dense bf16.

Between what OpenCoder reports (arXiv 2411.04905), counted as in `flops.py`: the 8B took 96,000 hours of H100 for
1.292e23 FLOPs (374e12, 0.38 of the peak), the 1.5B 28,034 hours of H800 for 2.445e22 (242e12, 0.24).
"""


def shard_seconds(
    op: ir.Operator, size: Size | None, shards: int, asked: Resources, parameters: int | None = None
) -> float | None:
    """Wall seconds of one of `shards` shards that has what it asked for; None where that is not known.

    `size` is that of the data set as it is read, `parameters` are those of the model that is measured.

    >>> round(shard_seconds(ir.Refine(dataset="d", readers=()), Size(1_000, 10_000_000_000), 100, Resources()), 1)
    2.0
    >>> shard_seconds(ir.Encode(dataset="d"), None, 1, Resources())
    """
    work = _work(op, size, shards, asked, parameters)
    return None if work is None else STARTUP + work


def _work(op: ir.Operator, size: Size | None, shards: int, asked: Resources, parameters: int | None) -> float | None:
    """Seconds after the start of the worker."""
    if isinstance(op, ir.TrainOp):
        return TRAIN_STARTUP + training_flops(op.job) / _flops_a_second(asked)
    if isinstance(op, ir.BitsPerByte):
        return _scoring(op, asked, parameters)
    if isinstance(op, ir.TrainBPE):
        return op.sample_bytes / MB * TRAIN_BPE
    return None if size is None else _reading(op, size, shards)


def _reading(op: ir.Operator, size: Size, shards: int) -> float | None:
    """Steps over a data set of known size: by bytes where they read text, by documents where they do not."""
    megabytes = size.bytes / MB / shards
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
        return size.bytes / BYTES_A_TOKEN * PACK
    if isinstance(op, ir.Edges):
        bands = op.bands + op.exact
        items = size.documents / (FILES_A_REPOSITORY if op.granularity == "repository" else 1)
        return items * max(1.0, bands / shards) * (EDGES_READ + EDGES_GROUP / max(1, shards // max(1, bands)))
    rate = PER_DOCUMENT.get(type(op))
    return None if rate is None else size.documents * rate


def _scoring(op: ir.BitsPerByte, asked: Resources, parameters: int | None) -> float | None:
    """Forward passes over windows that overlap by half, so that every token is read twice; 2 FLOPs a parameter."""
    if not op.max_bytes or parameters is None:
        return None
    tokens = 2 * op.max_bytes / BYTES_A_TOKEN
    return TRAIN_STARTUP + tokens * 2 * parameters / _flops_a_second(asked)


def _flops_a_second(asked: Resources) -> float:
    """Of all devices of a job, or of its processors where it asks for no device."""
    return asked.gpus * asked.nodes * GPU_FLOPS if asked.gpus else asked.cpus * asked.nodes * CPU_FLOPS
