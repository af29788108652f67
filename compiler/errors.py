"""The one exception for bad input: what is wrong, where, and how to fix it.

Not for broken invariants: those are `assert`s, and a traceback is right for them.
"""

from __future__ import annotations

from functools import partial
from typing import Any


class UserError(Exception):
    """Something that the user can fix: shown as one message, never as a traceback.

    `what` says what is wrong, with the numbers; `where` is a file:line, a path or a path in the spec; `fix` says
    what to do about it.

    >>> print(UserError("budget of 10 tokens exceeds the 8 that exist", where="mini.py:12", fix="lower it"))
    mini.py:12: budget of 10 tokens exceeds the 8 that exist
      fix: lower it
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what, where, fix)
        self.what = what
        self.where = where
        self.fix = fix

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are rebuilt from `args` alone, which would lose the keywords on the way between processes.
        return partial(UserError, where=self.where, fix=self.fix), (self.what,)

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  fix: {self.fix}" if self.fix else head


class UserErrors(UserError):
    """Several problems found together: all are listed, not the first."""

    def __init__(self, problems: list[UserError]) -> None:
        super().__init__(f"{len(problems)} problem{'s' * (len(problems) != 1)}")
        self.problems = problems

    def __reduce__(self) -> tuple[Any, ...]:
        return UserErrors, (self.problems,)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)
