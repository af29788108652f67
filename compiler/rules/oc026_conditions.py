"""OC026: a condition in SQL can hold for some documents and fail for others."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec import refinement


def find(draft: Draft) -> Iterator[UserError]:
    """Expressions that are never true, or never false, whatever the signals are.

    DuckDB is loaded only if there are any.
    """
    for dataset in draft.experiment.data:
        for step in dataset.steps:
            for rule in step.rules if isinstance(step, refinement.Filter) else ():
                found = _always(rule.where) if rule.where else ""
                if found:
                    yield draft.error(
                        rule,
                        f"the rule {rule.name!r} drops {found}: {rule.where}",
                        "correct the bounds, or take it out",
                    )


def _always(where: str) -> str:
    """What a condition does to every document: nothing, or all; empty where that depends on the document."""
    from compiler.rule_expressions import constant, problem

    if problem(where) is not None:  # which another rule says
        return ""
    value = constant(where)
    if value is None:
        return ""
    return "every document that it judges" if value else "no document at all"


RULE = Rule(
    "OC026",
    "conditions",
    "num_lines < 5 AND num_lines > 10 is read as a range by people, and as nothing by a database.",
    find,
    teach="""\
A condition that contradicts itself drops nothing, one that always holds drops everything that it judges, and both
look like a filter that works until somebody counts. The published filter of OpenCoder has two rules that cannot fire,
for variables in Go and in C#, and nobody noticed: thresholds there are strings that are evaluated
(`opc_data_filtering`). Here DuckDB's optimizer is asked: against a table that holds nothing but the lowest and
highest value of every signal, a condition that it reduces to an empty result can never hold. It does not prove
everything; what it proves is so.
""",
)
