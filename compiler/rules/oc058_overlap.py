"""OC058: an overlap with a test set is long enough to be evidence, and short enough to be found."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec.refinement import Decontaminate

SHORTEST, LONGEST = 6, 50


def find(draft: Draft) -> Iterator[UserError]:
    """Steps that look for fewer than 6 or more than 50 words in a row."""
    steps = [step for dataset in draft.experiment.data for step in dataset.steps]
    for step in (*steps, draft.experiment.decontaminate_instructions):
        if isinstance(step, Decontaminate) and not SHORTEST <= step.ngram <= LONGEST:
            short = step.ngram < SHORTEST
            what = "stand in much code that has nothing to do with it" if short else "are more than most solutions have"
            yield draft.error(
                step,
                f"{step.ngram} words in a row are taken for an overlap with a test set; so many {what}",
                "use 10, as OpenCoder does, or 13, as GPT-3",
            )


RULE = Rule(
    "OC058",
    "overlap",
    "Too short a run of words drops good data, too long a one lets the test set through.",
    find,
    severity="warning",
    teach="""\
OpenCoder drops instructions that share 10 words in a row with a test set (arXiv 2411.04905, section 4.4), GPT-3
looked for 13 (Brown et al. 2020, arXiv 2005.14165, appendix C). Four words are "for i in range", and drop most of a
corpus of Python; half of HumanEval's solutions have no more than 21 words between blanks, and 11 of 164 more than 50.
An item shorter than the run is looked for as a whole.
""",
)
