"""OC052: a guard against jumps of the loss looks at the stage before it is over."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.lower_training import batches_of
from compiler.rules.base import Rule


def find(draft: Draft) -> Iterator[UserError]:
    """Guards that would act on a jump, and whose window is as long as the stage."""
    for stage in draft.experiment.curriculum.stages:
        steps = sum(batch.steps for batch in batches_of(stage))
        if stage.guard.spike != "note" and stage.guard.window >= steps:
            yield draft.error(
                stage.guard,
                f"{stage.name!r} has {steps:,} steps, and its guard compares with the median of {stage.guard.window:,}:"
                f" no jump is ever {'skipped' if stage.guard.spike == 'skip' else 'a reason to stop'}",
                f"set window to {max(2, steps // 10):,}",
            )


RULE = Rule(
    "OC052",
    "guard",
    "A guard that cannot act yet is believed to watch.",
    find,
    severity="warning",
    teach="""\
A jump is a loss above `spike_ratio` times the median of the last `window` steps, so that the first `window` steps of
a stage never jump. PaLM restarted about 20 times from a checkpoint 100 steps before a spike and skipped 200 to 500
batches (Chowdhery et al. 2022, arXiv 2204.02311, section 5.1); a guard does that by itself, unless its window is
longer than the stage, as when a long run's settings come along into a short one.
""",
)
