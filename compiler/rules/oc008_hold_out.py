"""OC008: what is measured on held-out repositories needs some."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec.evaluation import BitsPerByte


def find(draft: Draft) -> Iterator[UserError]:
    """Bits per byte without a hold-out."""
    for evaluation in draft.experiment.evaluations:
        if isinstance(evaluation, BitsPerByte) and draft.experiment.hold_out is None:
            yield draft.error(
                evaluation,
                f"{evaluation.name!r} measures on held-out repositories, but none are held out",
                'give hold_out=HoldOut(repositories=("NAME@*",))',
            )


RULE = Rule("OC008", "hold-out", "A model scored on what it was trained on is not measured.", find)
