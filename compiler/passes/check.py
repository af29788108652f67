"""check: run all compile-time rules and list what they find; errors refuse the spec, warnings stay with the draft."""

from __future__ import annotations

import attrs

from compiler.draft import Draft
from compiler.findings import CheckError
from compiler.rules import check_all


def check(draft: Draft) -> Draft:
    """The draft with the warnings of all rules. Raises CheckError with all errors, those of sources among them."""
    findings = check_all(draft)
    warnings = tuple(finding for finding in findings if finding.severity == "warning")
    errors = [finding.problem for finding in findings if finding.severity == "error"]
    if errors:
        raise CheckError(errors, warnings)
    return attrs.evolve(draft, warnings=warnings)
