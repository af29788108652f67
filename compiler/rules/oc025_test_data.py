"""OC025: no test set is also a source of training data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.resolve import TEST_SET, benchmarks_of
from compiler.rules.base import Rule
from compiler.rules.common import documents_sources, located
from ocspec.sources import Source
from ocspec.testsets import TestSet


def find(draft: Draft) -> Iterator[UserError]:
    """Sources that hold a test set's files, by path or by content."""
    sources = [source for _, source in documents_sources(draft)] + list(draft.experiment.instructions)
    for test_set in benchmarks_of(draft.experiment):
        for source in sources:
            if _same(draft, source, test_set):
                yield draft.error(
                    source,
                    f"source {source.name!r} holds the test set {test_set.name!r} ({os.path.basename(test_set.path)})",
                    "train on something else, or leave the benchmark out",
                )


def _same(draft: Draft, source: Source, test_set: TestSet) -> bool:
    """Whether the source's files are, or contain, those of the test set."""
    path = getattr(source, "path", "") or getattr(source, "pages", "")
    if not path:
        return False
    ours, theirs = located(draft, path), located(draft, test_set.path)
    if fnmatchcase(theirs, ours) or theirs.startswith(ours.rstrip("/") + "/"):
        return True
    seen, looked_for = draft.sources.get(source.name), draft.sources.get(f"{TEST_SET}/{test_set.name}")
    return seen is not None and looked_for is not None and seen.digest == looked_for.digest


RULE = Rule(
    "OC025",
    "test data",
    "A benchmark's own file in the mixture is contamination that no search has to look for.",
    find,
    teach="""\
Decontamination drops training samples that overlap with a test set. A source that is the test set passes for training
data until every document of it is dropped, and where only instructions are searched, as in OpenCoder (section 4.4),
it is not dropped at all. It happens through wildcards: `benchmarks/*.jsonl` is a convenient path, and MBPP's released
file holds its training, prompt and test splits together. Compared are paths, wildcards included, and the digests of
files, so a copy under another name is found, too.
""",
)
