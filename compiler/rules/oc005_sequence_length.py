"""OC005: no sequence is longer than the model's context."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.lower_training import batches_of
from compiler.rules.base import Rule


def find(draft: Draft) -> Iterator[UserError]:
    """Stages whose sequences exceed `max_positions`."""
    most = draft.experiment.model.max_positions
    for stage in draft.experiment.curriculum.stages:
        longest = max(batch.sequence_length for batch in batches_of(stage))
        if longest > most:
            yield draft.error(
                stage,
                f"{stage.name!r} has sequences of {longest} tokens, the model takes {most}",
                "shorten them or raise max_positions",
            )


RULE = Rule(
    "OC005",
    "sequence length",
    "Positions beyond the context were never trained.",
    find,
    teach="""\
`max_positions` is the context that the model promises; rotary embeddings beyond it are extrapolated. A stage with
longer sequences would train positions that the checkpoint says it does not have, and tools that read the checkpoint
cut them off. torchtitan adds such checks one bug at a time (#1312 and #4260 are about sequence lengths and contexts
that no run could use). OpenCoder 8B trains 130,000 steps at half its context of 8,192 first, never beyond it.
""",
)
