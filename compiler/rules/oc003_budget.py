"""OC003: a mixture does not ask for more tokens than its data can hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.lower_tokens import mixtures, shares
from compiler.rules.base import Rule
from compiler.rules.common import most_tokens
from ocspec.training import Anneal, Pretrain


def find(draft: Draft) -> Iterator[UserError]:
    """Budgets above an upper bound of the data: declared tokens, or one token per byte of text."""
    stages = {stage.name: stage for stage in draft.experiment.curriculum.stages}
    for name, mixture in mixtures(draft).items():
        stage = stages[name]
        assert isinstance(stage, Pretrain | Anneal)
        tokens = sum(batches.tokens for batches in stage.batches)
        parts = {part.dataset: part for part in mixture.parts}
        for share in shares(mixture):
            most = most_tokens(draft, share.dataset)
            asked = tokens * share.share
            if most is not None and asked > most * share.max_epochs:
                yield draft.error(
                    parts[share.dataset],
                    f"stage {name!r} asks for {int(asked):,} tokens of {share.dataset!r}, which holds at most {most:,}"
                    f" x {float(share.max_epochs):g} epochs",
                    "lower steps or weight" + (f", or allow max_epochs={_rounded_up(asked / most):g}" if most else ""),
                )


def _rounded_up(epochs: Fraction) -> float:
    """To two places, so that the number is enough when it is typed in."""
    return math.ceil(epochs * 100) / 100


RULE = Rule(
    "OC003",
    "budget",
    "Rounding and over-use have sent runs into another epoch (OLMo-core #316).",
    find,
    teach="""\
A stage says how many tokens it trains on, and a part of its mixture how often a token may be seen. Where a data set
is smaller than its share of the budget, it is repeated, and nobody notices: in OLMo-core #316 ratios that became
token counts and then instances lost a little each time, and training ran 5 to 30 steps into a second epoch, visible
only as a drop of the loss during annealing. Here the budget is compared with an upper bound of the data: the declared
tokens, or one token for each byte of text. What passes may still be refused by the exact count once the data is
tokenized.
""",
)
