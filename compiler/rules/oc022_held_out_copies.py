"""OC022: held-out repositories can be told in every source."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import documents_sources
from ocspec.sources import JsonLines, Parquet


def find(draft: Draft) -> Iterator[UserError]:
    """Tables without a column of repositories, where repositories are held out."""
    hold_out = draft.experiment.hold_out
    if hold_out is None:
        return
    for dataset, source in documents_sources(draft):
        if isinstance(source, Parquet | JsonLines) and not source.columns.repo:
            yield draft.error(
                source,
                f"no document of {source.name!r} in data set {dataset.name!r} has a repository, so that none of"
                f" {', '.join(map(repr, hold_out.repositories))} is held out of it",
                "give columns=Columns(repo=...), or make sure that the source holds none of them",
            )


RULE = Rule(
    "OC022",
    "held-out copies",
    "What is held out in one source and trained on from another is not held out.",
    find,
    severity="warning",
    teach="""\
Repositories are held out by name. A source without a column of names gives no name to match, so a held-out repository
in it is trained on. Copies that equal or nearly equal a held-out document are dropped everywhere (MinHash of 16 x
128, a similarity of about 0.98), but an edited copy passes. How common copies are says OpenCoder: 75 % of the files
on GitHub are exact duplicates of others, and after deduplicating whole repositories 52 B tokens still had a twin,
character by character (arXiv 2411.04905, sections 2.1 and 6.1).
""",
)
