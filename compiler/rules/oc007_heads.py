"""OC007: heads, widths and layers divide over tensor and pipeline parallel ranks."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule


def find(draft: Draft) -> Iterator[UserError]:
    """Heads, key-value heads, feed-forward width, vocabulary and layers that do not divide."""
    model, vocab = draft.experiment.model, draft.experiment.tokenizer.vocab_size
    for stage in draft.experiment.curriculum.stages:
        split = stage.parallelism
        for what, number, ranks in (
            ("num_heads", model.num_heads, split.tensor),
            ("num_kv_heads", model.num_kv_heads, split.tensor),
            ("intermediate_size", model.intermediate_size, split.tensor),
            ("vocab_size", vocab, split.tensor),
            ("num_layers", model.num_layers, split.pipeline),
        ):
            if number % ranks:
                yield draft.error(
                    stage,
                    f"{stage.name!r}: {what} {number} does not divide over {ranks} ranks",
                    "change the parallelism",
                )


RULE = Rule(
    "OC007",
    "heads",
    "16 heads over 32 ranks failed for 3.5 hours unseen (marin #4898).",
    find,
    teach="""\
Tensor parallelism gives each rank whole heads, a slice of the feed-forward layer and a slice of the vocabulary;
pipeline parallelism gives it whole layers. In marin #4898 16 attention heads met 32 ranks, and all entries had been
failing, about 3.5 hours of compute, before somebody looked. With grouped queries it is the number of key-value heads
that bounds the split: OpenCoder 8B has 32 query heads and 8 key-value heads, so 8 ranks are the most.
""",
)
