"""OC037: a learning rate is one that models of this size have been trained with."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import amount, jobs
from ocspec.training import Anneal

LARGE = 1_000_000_000
HIGHEST_OF_LARGE, HIGHEST = 2e-3, 2e-2
LOWEST = 1e-6


def find(draft: Draft) -> Iterator[UserError]:
    """Peaks above 2e-3 for a billion parameters and more, above 2e-2 for fewer, or below 1e-6."""
    for stage, job in jobs(draft):
        if isinstance(stage, Anneal):
            continue  # it takes the rate at which the stage before ends
        peak = max(phase.end for phase in job.schedule)
        peak = max(peak, job.schedule[0].start)
        highest = HIGHEST_OF_LARGE if job.model.parameters >= LARGE else HIGHEST
        if not LOWEST <= peak <= highest:
            yield draft.error(
                stage,
                f"{stage.name!r} peaks at {peak:g}; AdamW trains {amount(job.model.parameters)} parameters between"
                f" {LOWEST:g} and {highest:g}",
                "check the exponent; OpenCoder has 3e-4 in pretraining, 2e-5 and 5e-5 in fine-tuning",
            )


RULE = Rule(
    "OC037",
    "rates",
    "3e-3 for 3e-4 is one key away, and diverges a week later.",
    find,
    severity="warning",
    teach="""\
Published rates lie close together: GPT-3 from 6e-4 at 125 M parameters down to 6e-5 at 175 B (Brown et al. 2020,
arXiv 2005.14165, table 2.1), OpenCoder 3e-4 at 1.5 B and 8 B, 2e-5 and 5e-5 in its two stages of tuning (arXiv
2411.04905, sections 3.2 and 4). The bounds here leave room on either side, ten times as much for models of less than
a billion. The rate is also a number that strays: OLMo #849 asks why the published configuration of a stage starts at
3.6e-4 and its log at 7.4e-5, and the answer is that it was overridden where the job was launched. A rate outside of
the bounds draws a warning and nothing more, since somebody has to be the first.
""",
)
