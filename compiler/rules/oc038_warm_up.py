"""OC038: a warm-up leaves most of the stage."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec.training import FineTune, Pretrain

MOST = 0.25
FEWEST_STEPS = 100
"""Shorter stages are rehearsals, and their warm-up is as short as it can be."""


def find(draft: Draft) -> Iterator[UserError]:
    """Warm-ups of more than a quarter of their stage."""
    for stage in draft.experiment.curriculum.stages:
        if not isinstance(stage, Pretrain | FineTune) or stage.num_steps < FEWEST_STEPS:
            continue
        share = stage.schedule.warmup_steps / stage.num_steps
        if share > MOST:
            yield draft.error(
                stage.schedule,
                f"{stage.name!r} warms up for {stage.schedule.warmup_steps:,} of its {stage.num_steps:,} steps,"
                f" {share:.0%}",
                "shorten the warm-up; OpenCoder has 0.4 to 0.7 % of the steps in pretraining, 5 to 10 % in tuning",
            )


RULE = Rule(
    "OC038",
    "warm-up",
    "A warm-up that was copied from a longer run is most of a shorter one.",
    find,
    severity="warning",
    teach="""\
Warm-ups are given in steps, and steps change with the batch: OpenCoder's 2,000 steps "over 8 B tokens" are 8.4 B for
the 1.5B and 16.8 B for the 8B, whose batch is twice as large (arXiv 2411.04905, section 3.2). In a run that was
shortened to try something, the 2,000 steps stay, and the model hardly ever sees the rate that is being tried. A
quarter of the stage is far beyond what anybody means: 0.4 % (1.5B) and 0.7 % (8B) of its steps are what OpenCoder's
pretraining warms up for, 100 of 976 and of 2,150 steps its stages of tuning.
""",
)
