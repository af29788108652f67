"""OC009: quality rules name signals that exist, with thresholds that the signal can reach."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.quality_rules import SIGNAL_RANGES
from compiler.rules.base import Rule
from ocspec.refinement import Filter


def find(draft: Draft) -> Iterator[UserError]:
    """Unknown signals and thresholds that a signal never crosses, or always does."""
    for dataset in draft.experiment.data:
        for step in dataset.steps:
            if not isinstance(step, Filter):
                continue
            for rule in step.rules:
                if rule.signal not in SIGNAL_RANGES:
                    close = difflib.get_close_matches(rule.signal, SIGNAL_RANGES, n=1)
                    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(SIGNAL_RANGES))}"
                    yield draft.error(rule, f"no signal is called {rule.signal!r}", hint)
                    continue
                low, high = SIGNAL_RANGES[rule.signal]
                edge = {">": high, "<": low}.get(rule.comparison)  # beyond which no value lies
                if rule.threshold == edge or not low <= rule.threshold <= high:
                    yield draft.error(
                        rule,
                        f"{rule.signal} lies between {low:g} and {high:g};"
                        f" {rule.comparison} {rule.threshold:g} is always the same",
                        "choose a threshold inside the range",
                    )


RULE = Rule("OC009", "quality rules", "A rule that always or never fires hides a mistake.", find)
