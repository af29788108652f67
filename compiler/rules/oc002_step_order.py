"""OC002: steps stand in an order that two passes over the content can run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec.refinement import (
    Admit,
    Decontaminate,
    Deduplicate,
    Downsample,
    Filter,
    Redact,
    SelectKeywords,
    Step,
)

RANK: tuple[tuple[type[Step], ...], ...] = (
    (Admit,),
    (Deduplicate,),
    (Redact,),
    (Filter,),
    (Downsample, SelectKeywords, Decontaminate),
)


def find(draft: Draft) -> Iterator[UserError]:
    """Steps out of order, refinement steps on a data set that starts from another, and Admit twice."""
    for dataset in draft.experiment.data:
        ranks = [(rank(step), step) for step in dataset.steps]
        for (before, _), (after, step) in pairwise(ranks):
            if after < before:
                yield draft.error(
                    step,
                    f"{type(step).__name__} stands too late in data set {dataset.name!r}",
                    "order the steps: Admit, Deduplicate, Redact, Filter, then Downsample and selections",
                )
        for step in [step for step in dataset.steps if isinstance(step, Admit)][1:]:
            yield draft.error(
                step, f"data set {dataset.name!r} admits twice; only the first would count", "make them one Admit"
            )
        for number, step in ranks:
            if dataset.base is not None and number < len(RANK) - 1:
                yield draft.error(
                    step,
                    f"data set {dataset.name!r} starts from {dataset.base!r}, whose documents are already refined",
                    f"move {type(step).__name__} to {dataset.base!r}",
                )


def rank(step: Step) -> int:
    """Where a step may stand."""
    return next(number for number, kinds in enumerate(RANK) if isinstance(step, kinds))


RULE = Rule(
    "OC002",
    "step order",
    "Deduplication runs before transformation and filtering (OpenCoder 2.1).",
    find,
    fixed=True,
    teach="""\
OpenCoder (arXiv 2411.04905, section 2.1) removes duplicates first: about 75 % of the files on GitHub are exact
copies, so whatever runs before deduplication runs four times as often as it has to. Redaction comes before the rules,
since a copyright notice counts as text for them, and a cap on bytes comes last, since it has to hold for what is
left. ocspec reads content twice, once to sign and once to refine, and only steps in this order fit into two passes.
""",
)
