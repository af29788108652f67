"""OC021: every data set and every source of instructions is used."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.lower_tokens import mixtures
from compiler.rules.base import Rule
from compiler.rules.common import fine_tuning
from ocspec.evaluation import BitsPerByte
from ocspec.sources import FunctionPairs


def find(draft: Draft) -> Iterator[UserError]:
    """Data sets that nothing is trained or measured on, and instructions that no stage names."""
    experiment = draft.experiment
    taught = {name for stage in fine_tuning(draft) for name in stage.instructions}
    for source in experiment.instructions:
        if source.name not in taught:
            yield draft.error(
                source,
                f"no stage names the instruction source {source.name!r}",
                "name it in FineTune.instructions, or take it out",
            )
    if _measured(draft):
        return  # held-out repositories of every data set are measured on
    used = _used(draft)
    for dataset in experiment.data:
        if dataset.name not in used:
            yield draft.error(
                dataset,
                f"no stage uses data set {dataset.name!r}, and its tasks would run all the same",
                "name it in a mixture, or take it out of data=",
            )


def _measured(draft: Draft) -> bool:
    scored = any(isinstance(evaluation, BitsPerByte) for evaluation in draft.experiment.evaluations)
    validated = any(stage.validate_every for stage in draft.experiment.curriculum.stages)
    return draft.experiment.hold_out is not None and (scored or validated)


def _used(draft: Draft) -> set[str]:
    """Names in mixtures and of pairs' data sets, and the bases of all of these."""
    waiting = [part.dataset for mixture in mixtures(draft).values() for part in mixture.parts]
    waiting += [source.dataset for source in draft.experiment.instructions if isinstance(source, FunctionPairs)]
    bases = {dataset.name: dataset.base for dataset in draft.experiment.data}
    used: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            waiting += [base for base in [bases.get(name)] if base is not None]
    return used


RULE = Rule(
    "OC021",
    "unused",
    "A data set that was left out of the mixture is the mistake; its hours of cleaning are the price.",
    find,
    severity="warning",
    teach="""\
A data set that no mixture names was either forgotten in the mixture or forgotten in `data=`. Either way its tasks are
in the plan: it is read, signed, deduplicated and refined, at full price, for nothing. In marin #8101 the same
artefact under two builders would have recomputed 292 MinHash artefacts from 49.67 TiB; work that nobody reads costs
the same. The rule is silent where the data set may serve as held-out text that is measured on.
""",
)
