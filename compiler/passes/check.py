"""check: run every compile-time rule and list all that they find, after what `resolve` found."""

from __future__ import annotations

from compiler.draft import Draft
from compiler.errors import UserErrors
from compiler.rules import RULES


def check(draft: Draft) -> Draft:
    """Raise UserErrors with the problems of sources and those that a rule finds; otherwise change nothing."""
    problems = [*draft.problems, *(problem for rule in RULES for problem in rule.check(draft))]
    if problems:
        raise UserErrors(problems)
    return draft
