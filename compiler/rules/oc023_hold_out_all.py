"""OC023: holding out leaves something to train on."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.oc008_hold_out import repositories

EVERYTHING = {"*", "**", "?*", "*@*"}


def find(draft: Draft) -> Iterator[UserError]:
    """Patterns that match every repository that is known, or any at all."""
    hold_out = draft.experiment.hold_out
    if hold_out is None:
        return
    known = repositories(draft)
    held = [name for name in known or () if any(fnmatchcase(name, pattern) for pattern in hold_out.repositories)]
    greedy = [pattern for pattern in hold_out.repositories if pattern in EVERYTHING]
    if greedy or (known and len(held) == len(known)):
        what = (
            f"the pattern {greedy[0]!r} holds out every repository"
            if greedy
            else f"all {len(held)} repositories are held out"
        )
        yield draft.error(
            hold_out,
            f"{what}, and nothing is left to train on",
            "hold out fewer: a few per cent of the repositories are enough to measure on",
        )


RULE = Rule(
    "OC023",
    "hold-out of all",
    "A pattern that is too wide leaves an empty training set.",
    find,
    teach="""\
A held-out repository takes part in no training. A pattern such as `*` holds out all of them, and the first task that
finds out is the tokenizer, which gets no text, after everything has been signed, grouped and refined. Patterns name
repositories as sources do: `requests@*` for every version of a package, `owner/name` for a repository of a table. The
miniature holds out 3 packages of 15 (specs/opencoder_mini.py), which is far more than a large corpus needs.
""",
)
