"""OC003: a mixture does not ask for more tokens than its data can hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.lower_tokens import mixtures, shares
from compiler.rules.base import Rule
from ocspec.sources import Directory, JsonLines, Source
from ocspec.training import Anneal, Pretrain

COMPRESSED = (".gz", ".zst", ".bz2", ".xz")


def find(draft: Draft) -> Iterator[UserError]:
    """Budgets above an upper bound of the data: declared tokens, or one token per byte of text."""
    stages = {stage.name: stage for stage in draft.experiment.curriculum.stages}
    for name, mixture in mixtures(draft).items():
        stage = stages[name]
        assert isinstance(stage, Pretrain | Anneal)
        tokens = sum(batches.tokens for batches in stage.batches)
        parts = {part.dataset: part for part in mixture.parts}
        for share in shares(mixture):
            most = _most_tokens(draft, share.dataset)
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


def _most_tokens(draft: Draft, name: str) -> int | None:
    """No more tokens than this can come of a data set; None where nothing is known."""
    sources: tuple[Source, ...] = ()
    at: str | None = name
    known = {dataset.name: dataset for dataset in draft.experiment.data}
    for _ in known:  # a circle of bases, which another rule refuses, must not hold this one up
        if at not in known or sources:
            break
        declared = known[at].declared
        if declared is not None and declared.tokens is not None:
            return declared.tokens
        sources, at = known[at].sources, known[at].base
    bounds = [_bound(draft, source) for source in sources]
    found = [bound for bound in bounds if bound is not None]
    return sum(found) if found and len(found) == len(bounds) else None


def _bound(draft: Draft, source: Source) -> int | None:
    if source.declared is not None and source.declared.tokens is not None:
        return source.declared.tokens
    plain = isinstance(source, Directory) or (isinstance(source, JsonLines) and not source.path.endswith(COMPRESSED))
    return draft.sources[source.name].bytes if plain and source.name in draft.sources else None


RULE = Rule("OC003", "budget", "Rounding and over-use have sent runs into another epoch (OLMo-core #316).", find)
