"""OC015: a tokenizer that is trained here needs a mixture to be trained on."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec.model import TrainedBPE
from ocspec.training import FineTune


def find(draft: Draft) -> Iterator[UserError]:
    """A TrainedBPE where every stage is fine-tuning."""
    stages = draft.experiment.curriculum.stages
    if isinstance(draft.experiment.tokenizer, TrainedBPE) and all(isinstance(stage, FineTune) for stage in stages):
        yield draft.error(
            draft.experiment.tokenizer,
            "TrainedBPE is trained on the first stage's mixture, and none of the curriculum's stages "
            f"({len(stages)}) has one",
            "use PretrainedTokenizer, or add a stage with a mixture",
        )


RULE = Rule(
    "OC015",
    "tokenizer",
    "Instruction pairs are made for a tokenizer, and are not what it is trained on.",
    find,
    fixed=True,
    teach="""\
`TrainedBPE` learns its merges from a sample of the first stage's mixture. An experiment that only fine-tunes has no
mixture, and its base model has a tokenizer already: ids of another one would be noise to it. OpenCoder takes
INF-34B's tokenizer with a few special tokens more (its issue 3); what a fine-tuning needs is that very file.
""",
)
