"""What a rule is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from compiler.draft import Draft
from compiler.errors import UserError


@attrs.frozen
class Rule:
    """A compile-time check: its code, its name, why it exists, and the function that finds the problems."""

    code: str
    name: str
    why: str
    find: Callable[[Draft], Iterator[UserError]]

    def check(self, draft: Draft) -> Iterator[UserError]:
        """The problems that this rule finds, marked with its code."""
        for problem in self.find(draft):
            yield UserError(f"{problem.what} [{self.code}]", where=problem.where, fix=problem.fix)
