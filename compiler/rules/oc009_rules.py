"""OC009: quality rules name signals that exist, with thresholds that the signal can reach, or are valid SQL."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.quality_rules import SIGNAL_RANGES
from compiler.rules.base import Rule
from ocspec import refinement

SIGNALS_ARE_LISTED = "docs/reference/quality-rules.md lists the signals"


def find(draft: Draft) -> Iterator[UserError]:
    """Unknown signals, thresholds that a signal never crosses or always does, expressions that can't be used."""
    for dataset in draft.experiment.data:
        for step in dataset.steps:
            if isinstance(step, refinement.Filter):
                for rule in step.rules:
                    found = _expression(rule) if rule.where else _comparison(rule)
                    if found:
                        yield draft.error(rule, *found)


def _comparison(rule: refinement.Rule) -> tuple[str, str] | None:
    """What is wrong with a rule that compares a signal, and how to fix it."""
    assert rule.threshold is not None and rule.comparison is not None
    if rule.signal not in SIGNAL_RANGES:
        close = difflib.get_close_matches(rule.signal, SIGNAL_RANGES, n=1)
        return f"no signal is called {rule.signal!r}", f"did you mean {close[0]!r}?" if close else SIGNALS_ARE_LISTED
    low, high = SIGNAL_RANGES[rule.signal]
    edge = {">": high, "<": low}.get(rule.comparison)  # beyond which no value lies
    if rule.threshold != edge and low <= rule.threshold <= high:
        return None
    return (
        f"{rule.signal} lies between {low:g} and {high:g}; {rule.comparison} {rule.threshold:g} is always the same",
        "choose a threshold inside the range",
    )


def _expression(rule: refinement.Rule) -> tuple[str, str] | None:
    """What is wrong with a rule in SQL, and how to fix it. DuckDB is loaded only if there is such a rule."""
    from compiler.rule_expressions import problem

    found = problem(rule.where)
    return found and (f"the rule {rule.name!r}: {found[0]}", found[1])


RULE = Rule(
    "OC009",
    "quality rules",
    "A rule that always or never fires hides a mistake.",
    find,
    teach="""\
The filter that OpenCoder published keeps its thresholds as strings that Python evaluates, so nothing checks them: two
of its rules, the ones for variables in Go and C#, compare a list with a number and can never fire
(`opc_data_filtering`, code_filter_config.py). A share written as per cent, 40 for 0.4, is the same mistake: it drops
nothing, or everything. Dolma's mixer got a validator that runs filter expressions on a sample before the job does
(dolma #215). Here each signal has a range, each name is looked up, and each SQL condition is bound by DuckDB, which
also refuses what is random.
""",
)
