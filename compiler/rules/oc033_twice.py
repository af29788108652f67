"""OC033: no two sources have the same content."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import documents_sources, located
from ocspec.sources import PyPI, Source


def find(draft: Draft) -> Iterator[UserError]:
    """Sources of different names with one path, one digest or the same packages; also of instructions."""
    sources = [source for _, source in documents_sources(draft)] + list(draft.experiment.instructions)
    first: dict[str, Source] = {}
    for source in sources:
        for known_by in _known_by(draft, source):
            other = first.setdefault(known_by, source)
            if other.name != source.name:
                yield draft.error(
                    source,
                    f"{source.name!r} has the content of {other.name!r} ({draft.where(other)})",
                    "use one source, in one data set or as the base of others: deduplication does not look across them",
                )
                break


def _known_by(draft: Draft, source: Source) -> Iterator[str]:
    """What tells a source's content: its packages, its path, the digest of its files."""
    if isinstance(source, PyPI):
        yield f"packages {sorted(package.sha256 for package in source.packages)}"
    path = getattr(source, "path", "") or getattr(source, "pages", "")
    if path:
        yield f"path {located(draft, path)}"
    if source.name in draft.sources:
        yield f"digest {draft.sources[source.name].digest}"


RULE = Rule(
    "OC033",
    "twice",
    "One corpus under two names is seen twice, and each data set's deduplication finds nothing.",
    find,
    severity="warning",
    teach="""\
Deduplication works within a data set. A corpus that comes in under two names, a copy in another folder, a dump that
holds an older one, is trained on as often as it is named, while `max_epochs` counts each name apart. Lee et al.
(2022, arXiv 2107.06499) show what repeated text costs: more of it is recited, and held-out losses mislead. RefineCode
has this problem built in, since The Stack v2 and GitHub overlap; OpenCoder takes of the first only what is not on the
second (arXiv 2411.04905, section 2.1). Sources are compared by path and by the digest of their files.
""",
)
