"""OC012: a stage that measures itself while it trains needs held-out text, and whole sequences."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule


def find(draft: Draft) -> Iterator[UserError]:
    """Stages with `validate_every` where nothing is held out, or that split sequences over devices."""
    for stage in draft.experiment.curriculum.stages:
        if stage.validate_every and draft.experiment.hold_out is None:
            yield draft.error(
                stage,
                f"{stage.name!r} measures on held-out text every {stage.validate_every} steps, but none is held out",
                'give hold_out=HoldOut(repositories=("NAME@*",)), or set validate_every to 0',
            )
        context = stage.parallelism.context
        if stage.validate_every and context > 1:
            yield draft.error(
                stage,
                f"{stage.name!r} measures on held-out text, and splits sequences over {context} devices",
                "set validate_every to 0, or context to 1",
            )


RULE = Rule(
    "OC012",
    "validation",
    "There is nothing to measure on that the stage does not learn.",
    find,
    teach="""\
A stage with `validate_every` measures bits per byte of held-out text while it trains. Without a hold-out every text
is learnt, and a loss on it falls whatever the model is worth elsewhere. Sequences split over context-parallel devices
cannot be scored whole, so the two exclude each other. open-instruct #1853 tells what a measure without a known noise
floor costs: two runs that differed in the horizon of the schedule alone, and agreed on eight short tasks, were 20.8
points apart on RULER at 65,536 tokens, and no mixture could be ranked there until another seed was paid for.
""",
)
