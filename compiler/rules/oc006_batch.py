"""OC006: a global batch divides into micro batches and data-parallel ranks."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.lower_training import batches_of
from compiler.rules.base import Rule


def find(draft: Draft) -> Iterator[UserError]:
    """Global batches that are no multiple of micro_batch x data."""
    for stage in draft.experiment.curriculum.stages:
        unit = stage.micro_batch * stage.parallelism.data
        for batch in batches_of(stage):
            if batch.global_batch % unit:
                yield draft.error(
                    stage,
                    f"{stage.name!r}: a global batch of {batch.global_batch} is no multiple of micro_batch"
                    f" {stage.micro_batch} x data {stage.parallelism.data} = {unit}",
                    f"use {max(unit, batch.global_batch // unit * unit)}",
                )


RULE = Rule(
    "OC006",
    "batch",
    "An uneven batch fails at the first step on the cluster.",
    find,
    teach="""\
A global batch is micro batch x data-parallel replicas x accumulation steps, and the last factor has to be whole:
OpenCoder 1.5B has 1024 = 4 x 256 x 1, the 8B 1024 = 1 x 256 x 4. Megatron finds out at start-up, when all devices are
taken; a trainer that rounds instead trains on a batch that the spec does not say, and the tokens of a step, the
learning rate and the end of the schedule no longer fit one another (OLMo-core #316 is such a rounding).
""",
)
