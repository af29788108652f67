"""What a detector of personal data is: a pattern that finds, a check that confirms, hints that save the search.

Not a registry: `personal` and `credentials` each hold their own tuple of detectors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Protocol

import attrs

Match = re.Match[str]


class Searches(Protocol):
    """A compiled pattern, of `re` or of RE2."""

    def search(self, text: str, /) -> object:
        """A match, or None."""


@attrs.frozen
class Span:
    """What is taken out: `kind`, and the characters [start, end) of the text."""

    kind: str
    start: int
    end: int


def _always(_match: Match) -> bool:
    return True


@attrs.frozen
class Detector:
    """The group `value` of each match that `accept` confirms is a find of `kind`.

    A text is searched if its lower case has one of the `hints` (if there are any) and if `near` (if there is one)
    matches somewhere in it: both are many times faster than the search. `near` is a pattern of RE2, or one of `re`
    that begins with a literal.
    """

    kind: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    accept: Callable[[Match], bool] = _always
    near: Searches | None = None

    def find(self, text: str, lower: str) -> Iterator[Span]:
        """The finds in `text`, of which `lower` is the lower case."""
        if self.hints and not any(hint in lower for hint in self.hints):
            return
        if self.near is not None and self.near.search(text) is None:
            return
        for match in self.pattern.finditer(text):
            if self.accept(match):
                yield Span(self.kind, *match.span("value"))


def words(text: str) -> frozenset[str]:
    """The words of a table that is written as running text."""
    return frozenset(text.split())
