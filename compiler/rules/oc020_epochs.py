"""OC020: no data set is seen more than four times over the whole curriculum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.lower_tokens import mixtures, shares
from compiler.passes.lower_training import batches_of
from compiler.rules.base import Rule
from compiler.rules.common import amount, most_tokens

MOST_EPOCHS = 4
"""Up to which repeated data is nearly as good as new (Muennighoff et al. 2023)."""


def find(draft: Draft) -> Iterator[UserError]:
    """Data sets of known size of which all stages together ask for more than four times what there is."""
    stages = {stage.name: stage for stage in draft.experiment.curriculum.stages}
    asked: Counter[str] = Counter()
    for name, mixture in mixtures(draft).items():
        tokens = sum(batch.tokens for batch in batches_of(stages[name]))
        parts = {part.dataset: part for part in mixture.parts}
        for share in shares(mixture):
            before, now = asked[share.dataset], int(tokens * share.share)
            asked[share.dataset] += now
            most = most_tokens(draft, share.dataset)
            if most and before <= MOST_EPOCHS * most < before + now:
                epochs = float(Fraction(before + now, most))
                yield draft.error(
                    parts[share.dataset],
                    f"{share.dataset!r} is seen {epochs:.3g} times by the end of stage {name!r}: {amount(before + now)}"
                    f" tokens of at most {amount(most)}",
                    f"train on fewer than {amount(MOST_EPOCHS * most)} tokens of it, or add data",
                )


RULE = Rule(
    "OC020",
    "epochs",
    "Beyond four epochs repeated tokens are worth less and less.",
    find,
    severity="warning",
    teach="""\
Muennighoff et al. (2023, "Scaling Data-Constrained Language Models", arXiv 2305.16264) trained 400 models on repeated
data: up to four epochs the loss is nearly that of new data, then the worth of a repeated token decays, and near forty
epochs more compute buys nothing. OpenCoder trained its 1.5B for four epochs, since its data was not complete then,
and its 8B for 3.5 (arXiv 2411.04905, section 3.2). `max_epochs` of a part bounds one stage; this rule adds up all
stages, since annealing sees again what pretraining saw.
""",
)
