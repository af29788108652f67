"""OC053: annealing sees some of what pretraining saw."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.lower_tokens import mixtures, shares
from compiler.rules.base import Rule
from ocspec.mixture import Mixture
from ocspec.training import Anneal, Pretrain

LEAST = Fraction(10, 100)


def find(draft: Draft) -> Iterator[UserError]:
    """Annealing mixtures with less than a tenth of data that an earlier stage was trained on, bases included."""
    seen: set[str] = set()
    bases = {dataset.name: dataset.base for dataset in draft.experiment.data}
    by_stage = mixtures(draft)
    for stage in draft.experiment.curriculum.stages:
        if isinstance(stage, Anneal) and seen:
            known = _share(by_stage[stage.name], seen, bases)
            if known < LEAST:
                yield draft.error(
                    stage.mixture,
                    f"{float(known):.0%} of stage {stage.name!r} is data of the stages before it"
                    f" ({', '.join(sorted(seen))})",
                    "add the pretraining mixture, as in mixture.scaled(84); OpenCoder keeps 84 %",
                )
        if isinstance(stage, Pretrain | Anneal):
            seen |= {part.dataset for part in stage.mixture.parts}


def _share(mixture: Mixture, seen: set[str], bases: dict[str, str | None]) -> Fraction:
    """The part of a mixture that was seen, or was chosen from what was."""
    return sum((s.share for s in shares(mixture) if s.dataset in seen or bases.get(s.dataset) in seen), Fraction(0))


RULE = Rule(
    "OC053",
    "forgetting",
    "Annealing on new data alone trades what was learnt for what is new.",
    find,
    severity="warning",
    teach="""\
OpenCoder anneals on 84 % RefineCode in its original distribution, 12.4 % algorithmic corpus and 3.6 % synthetic data;
the bulk is there against forgetting, since a sharp change of distribution while the rate falls is what the model
keeps (arXiv 2411.04905, section 2.2, table 3; MiniCPM, arXiv 2404.06395, anneals on a mix with its pretraining data,
too). How much is right the authors could not afford to find out, and say so. Less than a tenth is taken for an
oversight here.
""",
)
