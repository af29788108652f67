"""OC041: AdamW's two moments are the usual way round, and annealing keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec.training import Anneal

KEPT = ("beta1", "beta2", "eps")


def find(draft: Draft) -> Iterator[UserError]:
    """Second moments that forget faster than the first, and annealing with other moments than its state has."""
    stages = draft.experiment.curriculum.stages
    for stage in stages:
        if stage.optimizer.beta2 <= stage.optimizer.beta1:
            yield draft.error(
                stage.optimizer,
                f"{stage.name!r}: beta2 {stage.optimizer.beta2:g} is not above beta1 {stage.optimizer.beta1:g}",
                "they may be swapped: 0.9 and 0.95 are usual for language models",
            )
    for before, stage in pairwise(stages):
        if not isinstance(stage, Anneal):
            continue
        changed = [f for f in KEPT if getattr(before.optimizer, f) != getattr(stage.optimizer, f)]
        if changed:
            told = ", ".join(
                f"{name} {getattr(before.optimizer, name):g} -> {getattr(stage.optimizer, name):g}" for name in changed
            )
            yield draft.error(
                stage.optimizer,
                f"{stage.name!r} goes on with the state of {before.name!r} under another optimizer: {told}",
                "give both stages one AdamW, or make it a stage of its own on purpose",
            )


RULE = Rule(
    "OC041",
    "moments",
    "Two numbers between 0 and 1 that were swapped train, and worse.",
    find,
    severity="warning",
    teach="""\
beta1 averages the gradient, beta2 its square: 0.9 and 0.999 by default (Kingma and Ba 2015, arXiv 1412.6980, section
2), 0.9 and 0.95 for GPT-3 (Brown et al. 2020, arXiv 2005.14165, appendix B). A second that remembers no longer than
the first is more often a slip than a choice. Swapped parameters are what no tool sees: Snakemake compares them as a
set of values and says there is nothing to be done (measured: lo=1, hi=2 against lo=2, hi=1). Annealing takes the
optimizer's state along, whose averages were made under the betas of the stage before; other betas do not convert it.
Which ones OpenCoder had is not known, and ocspec's defaults are 0.9 and 0.95.
""",
)
