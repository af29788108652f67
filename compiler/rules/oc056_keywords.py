"""OC056: keywords choose."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec.refinement import SelectKeywords


def find(draft: Draft) -> Iterator[UserError]:
    """Keywords that are blank, and so stand in every document."""
    for dataset in draft.experiment.data:
        for step in dataset.steps:
            for keyword in step.keywords if isinstance(step, SelectKeywords) else ():
                if not keyword.strip():
                    yield draft.error(
                        step,
                        f"data set {dataset.name!r} selects documents that hold {keyword!r}, which nearly all do",
                        "write a word or a phrase; a comma too many inside a text leaves an empty one",
                    )


RULE = Rule(
    "OC056",
    "keywords",
    "One blank keyword selects everything, and the selection is the corpus.",
    find,
    teach="""\
OpenCoder's algorithmic corpus is what of its pretraining data holds "leetcode", "def solution" or "class solution":
12.44 B of 960 B tokens (arXiv 2411.04905, section 2.2, tables 2 and 3). One of the keywords is enough, so that a
blank one, left behind by splitting a text at commas, selects every document. Keywords are looked for inside words, in
any case: a short one such as "go" is in "algorithm".
""",
)
