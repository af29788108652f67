"""OC004: annealing follows a stage whose learning rate it can decay from."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.lower_training import batches_of, schedule_of
from compiler.rules.base import Rule
from ocspec.training import Anneal, FineTune, Stage


def find(draft: Draft) -> Iterator[UserError]:
    """Annealing that starts from nothing, goes up, or begins after the last step of the stage before."""
    stages = draft.experiment.curriculum.stages
    for before, stage in zip((None, *stages), stages, strict=False):
        yield from _start_step(draft, before, stage)
        if not isinstance(stage, Anneal):
            continue
        if before is None or isinstance(before, FineTune | Anneal):
            yield draft.error(
                stage, f"{stage.name!r} anneals, but no pretraining stands before it", "put Pretrain first"
            )
            continue
        peak = schedule_of(before, None)[-1].end
        if stage.schedule.end >= peak:
            yield draft.error(
                stage.schedule,
                f"the decay of {stage.name!r} ends at {stage.schedule.end:g}, not below the {peak:g} at which"
                f" {before.name!r} ends",
                "lower Decay.end",
            )


def _start_step(draft: Draft, before: Stage | None, stage: Stage) -> Iterator[UserError]:
    if not isinstance(stage, Anneal | FineTune) or stage.start_step is None:
        return
    steps = sum(batch.steps for batch in batches_of(before)) if before else 0
    if stage.start_step > steps:
        name = before.name if before else "nothing"
        yield draft.error(
            stage,
            f"{stage.name!r} starts at step {stage.start_step:,} of {name!r}, which has {steps:,}",
            "lower it",
        )


RULE = Rule(
    "OC004",
    "annealing",
    "The decay must continue from the learning rate that was held (WSD).",
    find,
    teach="""\
Warm-up, stable, decay (MiniCPM, arXiv 2404.06395) holds the learning rate in pretraining, so that any checkpoint can
be annealed: OpenCoder (section 3) decays from the 3e-4 that was held to 1e-5 over 100 B tokens. Annealing that
follows nothing, goes up, or starts at a step that the stage before does not have, is another experiment than the one
meant. NeMo's own schedule has a relative of this mistake: a restored scheduler keeps the horizon of the old run, so
that a longer run goes on at the lowest rate.
""",
)
