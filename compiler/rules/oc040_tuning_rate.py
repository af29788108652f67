"""OC040: fine-tuning is gentler than what it starts from."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import jobs
from ocspec.training import FineTune


def find(draft: Draft) -> Iterator[UserError]:
    """Fine-tuning whose peak is above the highest rate of the stages before it."""
    highest = 0.0
    for stage, job in jobs(draft):
        if isinstance(stage, FineTune) and highest and stage.schedule.peak > highest:
            yield draft.error(
                stage.schedule,
                f"{stage.name!r} peaks at {stage.schedule.peak:g}, above the {highest:g} of all training before it",
                f"lower the peak; a tenth of it, {highest / 10:g}, is usual",
            )
        if not isinstance(stage, FineTune):
            highest = max(highest, *(max(phase.start, phase.end) for phase in job.schedule))


RULE = Rule(
    "OC040",
    "tuning rate",
    "Tuning at a higher rate than pretraining overwrites what was learnt.",
    find,
    severity="warning",
    teach="""\
OpenCoder pretrains at 3e-4, anneals down to 1e-5, and tunes at 2e-5 and then 5e-5, six to fifteen times below the
peak of pretraining (arXiv 2411.04905, sections 3.2 and 4). A tuned model loses what its data does not repeat, and
more of it in larger steps. How much hangs on this last part of training: with its two stages mixed into one OpenCoder
has 14.6 points of HumanEval less (section 6.4, table 10). A stage of tuning that goes above pretraining's peak is
usually one whose schedule was copied from a stage of pretraining.
""",
)
