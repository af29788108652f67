"""OC017: every part of a mixture comes to at least one whole sequence."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.lower_tokens import mixtures, shares
from compiler.passes.lower_training import batches_of
from compiler.rules.base import Rule


def find(draft: Draft) -> Iterator[UserError]:
    """Parts whose exact share of a stage's sequences is less than one."""
    stages = {stage.name: stage for stage in draft.experiment.curriculum.stages}
    for name, mixture in mixtures(draft).items():
        sequences = sum(batch.steps * batch.global_batch for batch in batches_of(stages[name]))
        parts = {part.dataset: part for part in mixture.parts}
        for share in shares(mixture):
            quota = share.share * sequences
            if quota < 1:
                yield draft.error(
                    parts[share.dataset],
                    f"stage {name!r} has {sequences:,} sequences; the share of {share.dataset!r} is"
                    f" {float(quota):.2g} of one",
                    "raise its weight, or take the part out",
                )


RULE = Rule(
    "OC017",
    "rounding",
    "A share below one sequence rounds to nothing, and the mixture is another one.",
    find,
    teach="""\
Shares are exact fractions here, and each phase's steps x batch sequences are dealt out by the largest remainder, so
that the parts sum to the budget to the last sequence; the draw asserts it. That is the proof that OLMo-core #316
lacked, where ratios were rounded to tokens of a file and again to instances, and training ran 5 to 30 steps into a
second epoch. What exact arithmetic cannot mend is a share of less than one sequence: the part is named in the spec
and in the paper's table, and no token of it is trained on.
""",
)
