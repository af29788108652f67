"""Samples of what a data set's rules dropped, beside documents that the same rule let through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from compiler import ir
from compiler.emit.duckdb_sql import seeded_order
from compiler.errors import UserError
from compiler.plan import Task
from compiler.quality_rules import QualityRule
from runtime.data.signals import SignalValues
from runtime.lineage.facts import plain
from runtime.lineage.history import step_name
from runtime.lineage.judge import type_of
from runtime.lineage.recorded import Records, connection, is_by_chunk, kept_output
from runtime.lineage.removed import Example, dropped_rows, hint, rules_of
from runtime.lineage.texts import Shown, chunk_texts, shown, shown_anywhere, step_texts

CANDIDATES = 4
"""Kept documents that are looked at for each one that is shown: a rule may not apply to some."""


@attrs.frozen(kw_only=True)
class RuleSample:
    """What one rule of one step dropped and let through. `condition` is what drops; "" where there is no number.

    Of duplicates, the kept ones are the representatives of the dropped ones, in the same order.
    """

    task: str
    step: str
    rule: str
    condition: str
    count: int
    seen: int
    dropped: tuple[Example, ...]
    kept: tuple[Example, ...]


def samples(
    records: Records, base: Path, rule: str | None, language: str | None, number: int, seed: int
) -> list[RuleSample]:
    """Up to `number` documents on each side for every rule that dropped something (or for `rule`), in a seeded order.

    Raises UserError where nothing of the data set is built, and for a rule that none of its steps has.
    """
    steps = [task for task in records.steps if task.id in records.built.artifacts]
    if not steps:
        what = f"data set {records.trail.dataset!r} is not built yet"
        raise UserError(what, fix="run `ocspec submit` first; `ocspec status` shows how far it is")
    named = {name for task in steps for name in rules_of(task, records.built)}
    if rule is not None and rule not in named:
        raise UserError(f"no built step of {records.trail.dataset!r} has a rule called {rule!r}", fix=hint(rule, named))
    return [
        _sample(records, base, task, name, language, number, seed)
        for task in steps
        for name in rules_of(task, records.built)
        if name == rule or (rule is None and records.built.stats(task.id).get("dropped", {}).get(name))
    ]


def _sample(
    records: Records, base: Path, task: Task, rule: str, language: str | None, number: int, seed: int
) -> RuleSample:
    rows = dropped_rows(records, task, rule, number, seed, None if isinstance(task.op, ir.Sign) else language)
    heads = step_texts(records, base, task.id, [row["doc_id"] for row in rows])
    dropped = tuple(Example(**row, text=heads.get(row["doc_id"])) for row in rows)
    stats = records.built.stats(task.id)
    judged = _rule(task, rule)
    if isinstance(task.op, ir.Cluster | ir.DropTwins):
        kept = _representatives(records, base, task, dropped)
    else:
        kept = tuple(_let_through(records, base, task, judged, language, number, seed))
    return RuleSample(
        task=task.id,
        step=step_name(task),
        rule=rule,
        condition=f"{judged.signal} {judged.comparison} {plain(judged.threshold)}" if judged else "",
        count=int(stats.get("dropped", {}).get(rule, 0)),
        seen=int(stats.get("in", 0)),
        dropped=dropped,
        kept=kept,
    )


def _rule(task: Task, name: str) -> QualityRule | None:
    return next((rule for rule in getattr(task.op, "rules", ()) if rule.name == name), None)


def _representatives(records: Records, base: Path, task: Task, dropped: tuple[Example, ...]) -> tuple[Example, ...]:
    """What is kept in place of the dropped ones; of repositories there is only a name."""
    names = [str(example.kept) for example in dropped]
    read = chunk_texts(records, base, set(names)) if is_by_chunk(task) else shown_anywhere(records.built, base, names)
    return tuple(Example(doc_id=name, text=read.get(name)) for name in names)


def _let_through(
    records: Records, base: Path, task: Task, rule: QualityRule | None, language: str | None, number: int, seed: int
) -> Iterator[Example]:
    """Documents that a step kept and its rule judged, with their value."""
    languages = [language] if language else _languages(records, rule)
    names = _kept(records, task, languages, number * (CANDIDATES if rule else 1), seed)
    keys, found = records.keys(names), shown(records, base, names)
    left = number
    for name in names:
        if not left:
            return
        document = found.get(name)
        value = _value(rule, keys[name]["language"], document) if rule and document else None
        if rule is None or value is not None:
            left -= 1
            threshold, text = rule.threshold if rule else None, document.text if document else None
            yield Example(doc_id=name, value=value, threshold=threshold, text=text)


def _value(rule: QualityRule, language: str | None, document: Shown) -> float | None:
    """The value that a rule judges a document by; None where it does not."""
    kind = type_of(language)
    values = SignalValues(document.text, language, kind, document.path)
    natural = values.natural_language if kind == "text" else "en"
    return values[rule.signal] if rule.applies(language or "", kind, natural) else None


def _languages(records: Records, rule: QualityRule | None) -> list[str] | None:
    """The languages that a rule judges, of those that were admitted; None: any."""
    if rule is None:
        return None
    with connection(keys=records.files(records.trail.sign, "keys")) as duck:
        there = [name for (name,) in duck.execute("SELECT DISTINCT language FROM keys").fetchall() if name]
    natural = (rule.natural_languages or ("en",))[0]
    return [name for name in there if rule.applies(name, type_of(name), natural)]


def _kept(records: Records, task: Task, languages: list[str] | None, number: int, seed: int) -> list[str]:
    """Ids of documents that a step kept, in a seeded order."""
    output = kept_output(task)
    if output is None or task not in records.trail.steps:
        return []
    views = {"keys": records.files(records.trail.sign, "keys"), "kept": records.files(task, output)}
    where = "WHERE language IN (SELECT unnest($languages))" if languages is not None else ""
    query = f"""\
SELECT keys.doc_id FROM keys SEMI JOIN kept USING (position) {where}
ORDER BY {seeded_order(seed)} LIMIT {number}"""  # noqa: S608 - no value in it
    with connection(**views) as duck:
        found = duck.execute(query, {"languages": languages} if languages is not None else None).fetchall()
    return [name for (name,) in found]
