"""What a rule removed: how many documents of which languages, and examples."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from compiler import ir
from compiler.emit.duckdb_sql import seeded_order
from compiler.errors import UserError
from compiler.plan import Task
from runtime.lineage.find import all_records
from runtime.lineage.history import step_name
from runtime.lineage.recorded import Records, connection, document_of
from runtime.lineage.texts import step_texts
from runtime.report.built import Built

NO_LANGUAGE = "(none)"


@attrs.frozen(kw_only=True)
class Example:
    """A document (or chunk): id, what decided, and its text as the source has it now; None where it is gone."""

    doc_id: str
    value: float | None = None
    threshold: float | None = None
    kept: str | None = None
    text: str | None = None


@attrs.frozen(kw_only=True)
class Removed:
    """What one step removed by one rule. `seen` went into the step; `languages` has most first."""

    dataset: str
    task: str
    step: str
    rule: str
    count: int
    seen: int
    languages: Mapping[str, int] = attrs.field(factory=dict)
    examples: tuple[Example, ...] = ()


def removed(
    built: Built, base: Path, rule: str, step: str | None = None, limit: int = 5, seed: int = 0
) -> list[Removed]:
    """What `rule` removed in every step that has it (or only in `step`, a name or a task), with `limit` examples.

    Raises UserError for a rule that no built step has, with the nearest, and where no step is built.
    """
    built_steps = [(records, task) for records, task in _steps(built) if step in (None, task.id, step_name(task))]
    if not built_steps:
        what = f"no step {step!r} of {built.plan.experiment!r} is built" if step else "no data set is built yet"
        raise UserError(what, fix="`ocspec status` lists what is finished, `ocspec submit` builds the rest")
    found = [(records, task) for records, task in built_steps if rule in rules_of(task, built)]
    if not found:
        known = {name for _, task in built_steps for name in rules_of(task, built)}
        raise UserError(f"no built step has a rule called {rule!r}", fix=hint(rule, known))
    return [_removed(records, base, task, rule, limit, seed) for records, task in found]


def hint(rule: str, known: Collection[str]) -> str:
    """Which rule may be meant.

    >>> hint("num_line_min", ["num_lines_min", "too_large"]), hint("x", ["empty"])
    ('did you mean num_lines_min?', '`ocspec report` lists the rules that removed something')
    """
    near = difflib.get_close_matches(rule, sorted(known), n=3) or [name for name in sorted(known) if rule in name][:3]
    return f"did you mean {' or '.join(near)}?" if near else "`ocspec report` lists the rules that removed something"


def rules_of(task: Task, built: Built) -> list[str]:
    """The rules that a step asked or dropped by."""
    asked = [rule.name for field in ("rules", "expressions") for rule in getattr(task.op, field, ())]
    return list(dict.fromkeys([*asked, *built.stats(task.id).get("dropped", {})]))


def _steps(built: Built) -> Iterator[tuple[Records, Task]]:
    """Built steps of all data sets, each once: a derived data set shares those of its base."""
    seen = set()
    for records in all_records(built):
        for task in records.steps:
            if task.id in built.artifacts and task.id not in seen:
                seen.add(task.id)
                yield records, task


def _removed(records: Records, base: Path, task: Task, rule: str, limit: int, seed: int) -> Removed:
    stats = records.built.stats(task.id)
    rows = dropped_rows(records, task, rule, limit, seed)
    shown = step_texts(records, base, task.id, [row["doc_id"] for row in rows])
    return Removed(
        dataset=task.id.partition("/")[0],
        task=task.id,
        step=step_name(task),
        rule=rule,
        count=int(stats.get("dropped", {}).get(rule, 0)),
        seen=int(stats.get("in", 0)),
        languages=_languages(records, task, rule),
        examples=tuple(Example(**row, text=shown.get(row["doc_id"])) for row in rows),
    )


def dropped_rows(
    records: Records, task: Task, rule: str, limit: int, seed: int, language: str | None = None
) -> list[dict[str, Any]]:
    """Some of the rows (doc_id, value, threshold, kept) that a step dropped by a rule, in a seeded order."""
    files = records.files(task, "dropped")
    join = f"SEMI JOIN keys ON keys.doc_id = {document_of(task, 'dropped.doc_id')} AND keys.language = $language"
    query = f"""\
SELECT doc_id, value, threshold, kept FROM dropped {join if language else ""}
WHERE rule = $rule ORDER BY {seeded_order(seed)} LIMIT {limit}"""  # noqa: S608 - no value in it
    parameters = {"rule": rule} | ({"language": language} if language else {})
    with connection(dropped=files, **_keys(records, task)) as duck:
        rows = duck.execute(query, parameters).fetchall()
    return [dict(zip(("doc_id", "value", "threshold", "kept"), row, strict=True)) for row in rows]


def _languages(records: Records, task: Task, rule: str) -> dict[str, int]:
    """Documents by language, most first; what was not admitted has none."""
    keys = _keys(records, task)
    if not keys:
        return {}
    query = f"""\
SELECT coalesce(keys.language, $none), count(*) AS number
FROM dropped LEFT JOIN keys ON keys.doc_id = {document_of(task, "dropped.doc_id")}
WHERE rule = $rule GROUP BY 1 ORDER BY number DESC, 1"""  # noqa: S608 - no value in it
    with connection(dropped=records.files(task, "dropped"), **keys) as duck:
        return dict(duck.execute(query, {"rule": rule, "none": NO_LANGUAGE}).fetchall())


def _keys(records: Records, task: Task) -> dict[str, list[str]]:
    """The view `keys`, where the step's documents have key rows."""
    admitted = task in records.trail.steps and not isinstance(task.op, ir.Sign)
    return {"keys": records.files(records.trail.sign, "keys")} if admitted else {}
