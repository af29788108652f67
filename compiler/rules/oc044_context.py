"""OC044: the context that the model promises is trained before it is used."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.lower_training import batches_of
from compiler.rules.base import Rule
from ocspec.training import FineTune


def find(draft: Draft) -> Iterator[UserError]:
    """Contexts longer than any sequence of the curriculum, and tuning on longer sequences than were pretrained on."""
    stages, model = draft.experiment.curriculum.stages, draft.experiment.model
    longest = 0
    for stage in stages:
        length = max(batch.sequence_length for batch in batches_of(stage))
        if isinstance(stage, FineTune) and 0 < longest < length:
            yield draft.error(
                stage,
                f"{stage.name!r} takes samples of up to {length:,} tokens, and no stage before it had more than"
                f" {longest:,}",
                f"set max_length to {longest:,}, or pretrain on longer sequences",
            )
        longest = max(longest, length)
    if longest < model.max_positions and not all(isinstance(stage, FineTune) for stage in stages):
        yield draft.error(
            model,
            f"max_positions is {model.max_positions:,}, and no sequence is longer than {longest:,}",
            f"set max_positions to {longest:,}, or train a last phase of batches at the full length",
        )


RULE = Rule(
    "OC044",
    "context",
    "A position that was never trained is a promise in a config file.",
    find,
    severity="warning",
    teach="""\
`max_positions` goes into the checkpoint's config, and whoever serves the model believes it. OpenCoder 8B promises
8,192 tokens and trains 170,000 of its 300,000 steps at that length, after 130,000 at 4,096 (its checkpoint cards);
the 1.5B promises and trains 4,096 (arXiv 2411.04905, table 4). Rotary embeddings at positions that no batch reached
are extrapolated, and short samples of fine-tuning do not teach them. torchtitan #4260 is about the crude end of this,
contexts of no tokens at all.
""",
)
