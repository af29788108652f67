"""OC046: in bf16, matrices have widths that tensor cores take whole."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import jobs
from ocspec.training import FineTune

WIDTH, LENGTH = 64, 64
HEAD = 8


def find(draft: Draft) -> Iterator[UserError]:
    """Slices of the vocabulary and of widths that are no multiple of 64, heads of no multiple of 8, odd sequences."""
    told: set[str] = set()
    for stage, job in jobs(draft):
        if job.precision != "bf16":
            continue
        tensor, model = job.parallelism.tensor, job.model
        widths = [
            ("vocab_size", model.vocab_size / tensor, WIDTH),
            ("hidden_size", model.hidden_size, WIDTH),
            ("intermediate_size", model.intermediate_size / tensor, WIDTH),
            ("head_dim", model.head_dim, HEAD),
        ]
        if not isinstance(stage, FineTune):  # there it is where samples are cut
            lengths = {batch.sequence_length for batch in job.batches}
            widths += [("sequence_length", length / job.parallelism.context, LENGTH) for length in sorted(lengths)]
        for name, width, unit in widths:
            if width % unit and f"{name} {width}" not in told:
                told.add(f"{name} {width}")
                more = -(-int(width + 0.5) // unit) * unit
                yield draft.error(
                    stage,
                    f"{stage.name!r}: a slice of {name} is {width:g}, no multiple of {unit}",
                    f"make it {more:,} ({more / width - 1:.2%} more): tensor cores work on whole tiles",
                )


RULE = Rule(
    "OC046",
    "widths",
    "One odd width takes the slow path in every step of a run.",
    find,
    severity="warning",
    teach="""\
Tensor cores multiply tiles. NVIDIA's guide to matrix multiplication (Deep Learning Performance, "Tensor Core
Requirements") calls multiples of 8 elements most efficient in 16-bit types, and multiples of 64 on an A100; before
cuBLAS 11 other widths did not use tensor cores at all. Vocabularies are the usual offender, since merges and special
tokens add up to anything: OpenCoder has 96,640 rows, of which its begin of text is 96,540: 64 x 1,510, which halves
evenly over its two tensor ranks (config.json of the released checkpoints; arXiv 2411.04905, table 4).
""",
)
