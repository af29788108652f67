"""OC014: sequences divide over the devices that split them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.lower_training import batches_of
from compiler.rules.base import Rule
from ocspec.training import Parallelism


def find(draft: Draft) -> Iterator[UserError]:
    """Sequence lengths that are no multiple of what context and sequence parallelism need."""
    for stage in draft.experiment.curriculum.stages:
        unit = needed(stage.parallelism)
        for length in dict.fromkeys(batch.sequence_length for batch in batches_of(stage)):
            if length % unit:
                fewer, more = length // unit * unit, (length // unit + 1) * unit
                yield draft.error(
                    stage,
                    f"{stage.name!r}: sequences of {length} tokens are no multiple of {unit}, which context"
                    f" {stage.parallelism.context} and tensor {stage.parallelism.tensor} need",
                    f"use {f'{fewer} or ' if fewer else ''}{more} tokens, or change the parallelism",
                )


def needed(split: Parallelism) -> int:
    """What a length must be a multiple of.

    Each context device takes two parts, one from either end, so that all have as much to attend to; sequence
    parallelism deals out what one context device has over the tensor devices.

    >>> needed(Parallelism(context=4)), needed(Parallelism(tensor=2, context=2, sequence_parallel=True))
    (8, 4)
    >>> needed(Parallelism(tensor=8))
    1
    """
    parts = 2 * split.context if split.context > 1 else 1
    return math.lcm(parts, split.context * split.tensor if split.sequence_parallel else 1)


RULE = Rule(
    "OC014",
    "sequence split",
    "Megatron finds out at the first batch, when all devices are taken.",
    find,
    teach="""\
Context parallelism gives each device two parts of a sequence, one from either end, so that causal attention is equal
work for all: the length has to be a multiple of 2 x context. Sequence parallelism deals what is left over the tensor
ranks. torchtitan learnt it from a bug: #1312 added the check of the length against the tensor ranks, and its review
found that context parallelism needs one as well. Megatron asserts them at the first batch, after the queue and the
start of all nodes.
""",
)
