"""What a rule is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.findings import Finding, Severity


@attrs.frozen
class Rule:
    """A compile-time check: its code, its name, why it exists, and the function that finds the problems.

    `severity` is what holds unless a settings file says otherwise: an error refuses the spec, a warning is said.
    `fixed` rules stay errors: without what they ask for no plan can be made. `teach` is for `ocspec explain CODE`:
    what goes wrong, whom it has cost what, and where that is written.
    """

    code: str
    name: str
    why: str
    find: Callable[[Draft], Iterator[UserError]]
    severity: Severity = attrs.field(default="error", kw_only=True)
    fixed: bool = attrs.field(default=False, kw_only=True)
    teach: str = attrs.field(default="", kw_only=True)

    def check(self, draft: Draft) -> Iterator[Finding]:
        """What this rule finds, as grave as the draft's settings say; nothing where they turn it off."""
        setting = draft.severities.of(self.code, self.severity)
        if setting == "off":
            return
        for problem in self.find(draft):
            yield Finding(
                code=self.code,
                name=self.name,
                severity=setting,
                what=problem.what,
                where=problem.where,
                fix=problem.fix,
            )
