"""OC039: annealing starts at the learning rate of the step that it starts from."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import jobs, rate_at
from compiler.trainjob import TrainJob
from ocspec.training import Anneal

NEAR = 0.01


def find(draft: Draft) -> Iterator[UserError]:
    """Decays that begin at the end of the schedule before, from a step at which the rate was another one."""
    before: TrainJob | None = None
    for stage, job in jobs(draft):
        if isinstance(stage, Anneal) and before is not None and stage.start_step is not None:
            start, there = job.schedule[0].start, rate_at(before.schedule, stage.start_step - 1)
            if stage.start_step <= before.steps and abs(start - there) > NEAR * max(start, there):
                yield draft.error(
                    stage,
                    f"{stage.name!r} decays from {start:.3g}, and starts from step {stage.start_step:,} of"
                    f" {before.stage!r}, at which the learning rate is {there:.3g}",
                    "start from the last step, or hold the rate there: WSD(...) is constant after its warm-up",
                )
        before = job


RULE = Rule(
    "OC039",
    "continuity",
    "A jump of the learning rate at a border undoes what the weights and the optimizer's state carry over.",
    find,
    teach="""\
An annealing stage takes weights, optimizer state and learning rate from the stage before. OpenCoder 1.5B anneals from
step 373,000 of 484,865 (its checkpoint cards), which works because the rate is held after the warm-up: it is 3e-4 at
any step (arXiv 2411.04905, section 3.2). From the middle of a cosine, or of a warm-up, the rate there and the rate at
which the decay begins differ, and the loss shows it. NeMo 2.7.3 has the reverse (measured): a scheduler restored from
a checkpoint keeps the horizon of the old run, so that a longer run stays at the lowest rate, and nothing says so.
""",
)
