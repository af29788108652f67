"""OC011: documents are cut into chunks once, after all other deduplication, and their chunks can be numbered."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec.refinement import Deduplicate

MOST_SOURCES = 64  # 63 bits of a chunk's number: 6 for the source, 42 for the document in it, 15 for the chunk


def find(draft: Draft) -> Iterator[UserError]:
    """Deduplication after a step by chunk, and more sources than a chunk's number can tell apart."""
    for dataset in draft.experiment.data:
        steps = [step for step in dataset.steps if isinstance(step, Deduplicate)]
        for before, step in pairwise(steps):
            if before.granularity == "chunk":
                yield draft.error(
                    step,
                    f"Deduplicate by {step.granularity} stands after Deduplicate by chunk in data set {dataset.name!r}",
                    "move the step by chunk behind the others; only one can cut documents into chunks",
                )
        by_chunk = [step for step in steps if step.granularity == "chunk"]
        if by_chunk and len(dataset.sources) > MOST_SOURCES:
            yield draft.error(
                by_chunk[0],
                f"data set {dataset.name!r} has {len(dataset.sources)} sources;"
                f" deduplication by chunk can tell {MOST_SOURCES} apart",
                "join sources of one format, whose path may hold * and **",
            )


RULE = Rule(
    "OC011",
    "chunks",
    "A chunk is known by its number, which holds those of its document and source.",
    find,
    teach="""\
OpenCoder's ablation of deduplication (section 6.1, appendix B) adds a chunk level behind the file and repository
levels and gains almost nothing: of 32.74 B tokens after the file level 32.70 B stay. Chunks are cut once: a step by
file after one by chunk would compare documents that no longer exist as such. A chunk's number has 6 bits for its
source, so 64 sources are the most; sources of one format can be one, since a path may hold wildcards.
""",
)
