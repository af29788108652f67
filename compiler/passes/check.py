"""check: run all compile-time rules and list what they find; errors refuse the spec, warnings stay with the draft."""

from __future__ import annotations

import attrs

import compiler.rules  # whole, for rules look at other passes, and either package may be imported first
from compiler.draft import Draft
from compiler.findings import CheckError


def check(draft: Draft) -> Draft:
    """The draft with the warnings of all rules. Raises CheckError with all errors, those of sources among them."""
    findings = compiler.rules.check_all(draft)
    warnings = tuple(finding for finding in findings if finding.severity == "warning")
    errors = [finding.problem for finding in findings if finding.severity == "error"]
    if errors:
        raise CheckError(errors, warnings)
    return attrs.evolve(draft, warnings=warnings)
