"""OC008: what is measured on held-out repositories needs some, and each pattern of them matches one."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from fnmatch import fnmatchcase

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec.evaluation import BitsPerByte
from ocspec.sources import PyPI

MOST_NAMES = 5


def find(draft: Draft) -> Iterator[UserError]:
    """Bits per byte without a hold-out, and patterns that match no repository."""
    for evaluation in draft.experiment.evaluations:
        if isinstance(evaluation, BitsPerByte) and draft.experiment.hold_out is None:
            yield draft.error(
                evaluation,
                f"{evaluation.name!r} measures on held-out repositories, but none are held out",
                'give hold_out=HoldOut(repositories=("NAME@*",))',
            )
    yield from _unmatched(draft)


def _unmatched(draft: Draft) -> Iterator[UserError]:
    hold_out, known = draft.experiment.hold_out, repositories(draft)
    if hold_out is None or not known:
        return
    for pattern in hold_out.repositories:
        if not any(fnmatchcase(repository, pattern) for repository in known):
            close = difflib.get_close_matches(pattern, known, n=1)
            more = f" and {len(known) - MOST_NAMES} more" if len(known) > MOST_NAMES else ""
            there_are = f"there are: {', '.join(known[:MOST_NAMES])}{more}"
            yield draft.error(
                hold_out,
                f"no repository matches the held-out pattern {pattern!r}",
                f"did you mean {close[0]!r}?" if close else there_are,
            )


def repositories(draft: Draft) -> list[str] | None:
    """Every repository of the experiment, or None where a source does not tell before it is read."""
    found: set[str] = set()
    for source in (source for dataset in draft.experiment.data for source in dataset.sources):
        stats = draft.sources.get(source.name)
        if isinstance(source, PyPI):
            found.update(package.key for package in source.packages)
        elif stats is not None and stats.repositories is not None:
            found.update(stats.repositories)
        else:
            return None
    return sorted(found)


RULE = Rule(
    "OC008",
    "hold-out",
    "A model scored on what it was trained on is not measured.",
    find,
    teach="""\
Bits per byte are measured on repositories that no stage has seen. Without a hold-out there is nothing to measure on,
and a pattern that matches nothing holds nothing out, silently: the measurement runs, on other text than was meant.
Patterns are those of a shell (`networkx@*`), checked here wherever the repositories are known before the data is
read. That data which resembles the test set has to be kept out is why OpenCoder decontaminates its instructions
(section 4.4).
""",
)
