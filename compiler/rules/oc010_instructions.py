"""OC010: sources of instructions are sources of instructions, sources of documents are not."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec.sources import FunctionPairs, Instructions


def find(draft: Draft) -> Iterator[UserError]:
    """Sources in the wrong place."""
    for source in draft.experiment.instructions:
        if not isinstance(source, Instructions | FunctionPairs):
            yield draft.error(
                source,
                f"{type(source).__name__} gives documents, not instructions",
                "use Instructions or FunctionPairs",
            )
    for dataset in draft.experiment.data:
        for source in dataset.sources:
            if isinstance(source, Instructions | FunctionPairs):
                yield draft.error(
                    source,
                    f"{type(source).__name__} gives instructions, not documents",
                    "list it under instructions=",
                )


RULE = Rule(
    "OC010",
    "instructions",
    "Pairs and documents have different columns.",
    find,
    fixed=True,
    teach="""\
A source of documents has one text a row, a source of instructions has two, a question and an answer. Read as the
other, a file either fails on a missing column when the job runs, or worse, trains with the loss on the whole text
instead of on the answer. That attributes and documents have to fit is one of the checks of the validator that Dolma's
mixer was given (dolma #215).
""",
)
