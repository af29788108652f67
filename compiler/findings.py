"""What compile-time rules find, how grave each finding is, and what a settings file says otherwise.

Not the rules: those are in `compiler/rules`. A severity changes what is refused, never what a plan holds.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import attrs

from compiler.errors import UserError, UserErrors

Severity = Literal["error", "warning"]
Setting = Literal["error", "warning", "off"]


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that a rule found: what, with the numbers, where (file:line, relative to the spec), and how to fix it.

    >>> print(Finding(code="OC006", name="batch", severity="error", what="6 is odd", where="a.py:3", fix="use 8"))
    a.py:3: 6 is odd [OC006]
      fix: use 8
    """

    code: str
    name: str
    severity: Severity
    what: str
    where: str = ""
    fix: str = ""

    @property
    def problem(self) -> UserError:
        """The finding as the error that refuses a spec."""
        return UserError(f"{self.what} [{self.code}]" if self.code else self.what, where=self.where, fix=self.fix)

    def __str__(self) -> str:
        return str(self.problem)


@attrs.frozen
class Change:
    """A rule that a settings file makes more or less grave than it is by default, and the file:line that does."""

    code: str
    default: Severity
    setting: Setting
    where: str

    def __str__(self) -> str:
        now = "off" if self.setting == "off" else _article(self.setting)
        return f"{self.code} is {now} here, by default {_article(self.default)} ({self.where})"


def _article(severity: str) -> str:
    return f"{'an' if severity == 'error' else 'a'} {severity}"


@attrs.frozen
class Severities:
    """How grave each rule's findings are: as the rule says, but for `changes`."""

    changes: tuple[Change, ...] = ()

    def of(self, code: str, default: Severity) -> Setting:
        """What holds for a rule."""
        return next((change.setting for change in self.changes if change.code == code), default)


AS_EACH_RULE_SAYS = Severities()


class CheckError(UserErrors):
    """A spec that the rules refuse. `warnings` are what they found besides, and would let pass."""

    def __init__(self, problems: list[UserError], warnings: tuple[Finding, ...] = ()) -> None:
        super().__init__(problems)
        self.warnings = warnings

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(CheckError, warnings=self.warnings), (self.problems,)
