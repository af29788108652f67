"""What quality rules dropped, and the histograms of the signals that they judge by. It draws nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from compiler import ir
from compiler.plan import Task
from compiler.quality_rules import QualityRule
from runtime.data.histograms import edges
from runtime.lineage.facts import plain
from runtime.lineage.recorded import connection
from runtime.report.built import Built
from runtime.report.facts import RuleFacts, SignalHistogram


def rules(task: Task, built: Built) -> tuple[RuleFacts, ...]:
    """The rules of a refine task that dropped something, most first."""
    op = task.op
    assert isinstance(op, ir.Refine)
    stats = built.stats(task.id)
    dropped: Mapping[str, int] = stats.get("dropped", {})
    judged = [rule for rule in op.rules if dropped.get(rule.name)]
    bins = _dropped_bins(task, built, judged)
    found = [
        RuleFacts(
            rule=rule.name,
            condition=f"{rule.signal} {rule.comparison} {plain(rule.threshold)}",
            dropped=dropped[rule.name],
            histogram=_histogram(rule, stats.get("signals", {}), bins[rule.name]),
        )
        for rule in judged
    ]
    found += [
        RuleFacts(rule=rule.name, condition=rule.where, dropped=dropped[rule.name])
        for rule in op.expressions
        if dropped.get(rule.name)
    ]
    return tuple(sorted(found, key=lambda rule: (-rule.dropped, rule.rule)))


def _histogram(rule: QualityRule, signals: Mapping[str, Any], dropped: Mapping[int, int]) -> SignalHistogram | None:
    """The histogram over the rule's types of document; None where refine counted none."""
    measured: defaultdict[int, int] = defaultdict(int)
    for kind, counts in signals.get(rule.signal, {}).items():
        if kind in rule.doc_types:
            for number, count in counts.items():
                measured[int(number)] += count
    if not measured:
        return None
    bounds = edges(rule.signal)
    numbers = range(len(bounds) - 1)
    return SignalHistogram(
        edges=bounds,
        measured=tuple(measured.get(number, 0) for number in numbers),
        dropped=tuple(dropped.get(number, 0) for number in numbers),
        threshold=rule.threshold,
    )


def _dropped_bins(task: Task, built: Built, judged: Sequence[QualityRule]) -> dict[str, dict[int, int]]:
    """For each rule the documents that it dropped, by the bin of their value."""
    found: dict[str, dict[int, int]] = {rule.name: {} for rule in judged}
    artifact = built.artifacts.get(task.id)
    if artifact is None or not judged:
        return found
    lows = [(rule.name, number, low) for rule in judged for number, low in enumerate(edges(rule.signal)[:-1])]
    with connection(dropped=[str(path) for path in artifact.files("dropped")]) as duck:
        duck.execute("CREATE TABLE bins (rule VARCHAR, number INTEGER, low DOUBLE)")
        # The first bin holds what is below it, too, as the last one holds what is above.
        duck.executemany(
            "INSERT INTO bins VALUES (?, ?, ?)", [(r, n, low if n else float("-inf")) for r, n, low in lows]
        )
        query = """\
SELECT dropped.rule, bins.number, count(*)
FROM dropped ASOF JOIN bins ON dropped.rule = bins.rule AND dropped.value >= bins.low
GROUP BY ALL"""
        for rule, number, count in duck.execute(query).fetchall():
            found[rule][number] = count
    return found
