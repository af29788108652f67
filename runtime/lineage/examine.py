"""Recorded decisions beside decisions made anew: what the artefacts say of documents, and what the code says today.

A difference means that the source or the code changed after the run. Everything that one document alone decides is
compared: admission, redaction, the clean text, rules, keywords.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from compiler import ir
from compiler.plan import Task
from runtime.lineage.facts import Drop, plain
from runtime.lineage.judge import Admission, Refinement, Refiner, admission, is_selected
from runtime.lineage.recorded import Recorded, Records, is_by_chunk
from runtime.lineage.reread import Reread, Rereader

GONE = "the source no longer has the document"


@attrs.frozen(kw_only=True)
class Examined:
    """A document: its key row (None: not admitted), what steps recorded, by task, and what is decided now.

    `admission` is None where the source no longer has the document, `refinement` where refine was not asked.
    `mismatches` says, by task, what is recorded otherwise; `evaluated` are the tasks that were decided anew.
    """

    doc_id: str
    key: Mapping[str, Any] | None
    recorded: Mapping[str, Recorded]
    document: Reread | None
    admission: Admission | None
    refinement: Refinement | None
    evaluated: frozenset[str]
    mismatches: Mapping[str, str]


def examine(records: Records, base: Path, names: Collection[str]) -> Iterator[Examined]:
    """Decide about documents anew, in the order of their positions; those that the source lost come last."""
    keys = records.keys(names)
    at = {name: keys[name]["position"] if name in keys else None for name in names}
    recorded = {task.id: records.at(task, at) for task in records.steps}
    rereader = Rereader.of(records.trail.sign, records.built, base)
    never_admitted = [name for name, position in at.items() if position is None]
    positions = {name: position for name, position in at.items() if position is not None}
    positions |= rereader.find(never_admitted) if never_admitted else {}
    admitted = [key["position"] for key in keys.values()]
    parts, written = records.parts(admitted), records.clean_digests(admitted)
    with Refiner(_refine(records)) as refiner:
        comparison = _Comparison(records, refiner, parts, written)
        left = dict.fromkeys(names)
        for document in rereader.at(positions.values()):
            name = document.doc_id
            if name in left:
                del left[name]
                of = {task: rows[name] for task, rows in recorded.items()}
                yield comparison.of(document, keys.get(name), of)
        for name in left:
            of = {task: rows[name] for task, rows in recorded.items()}
            yield _gone(name, keys.get(name), of, records)


def _refine(records: Records) -> ir.Refine:
    op = records.trail.refine.op
    assert isinstance(op, ir.Refine)
    return op


def _gone(name: str, key: Mapping[str, Any] | None, recorded: Mapping[str, Recorded], records: Records) -> Examined:
    fetched = any(recorded[task.id].drops for task in records.steps if task not in records.trail.steps)
    return Examined(
        doc_id=name,
        key=key,
        recorded=recorded,
        document=None,
        admission=None,
        refinement=None,
        evaluated=frozenset(),
        mismatches={} if fetched else {records.trail.sign.id: GONE},
    )


@attrs.frozen
class _Comparison:
    records: Records
    refiner: Refiner
    parts: Mapping[int, list[int] | None]
    written: Mapping[int, str]

    def of(self, document: Reread, key: Mapping[str, Any] | None, recorded: Mapping[str, Recorded]) -> Examined:
        """Compare one document, as far as it came."""
        trail = self.records.trail
        mismatches: dict[str, str] = {}
        evaluated = {trail.sign.id}
        assert isinstance(trail.sign.op, ir.Sign)
        let_in = admission(trail.sign.op, document)
        same = None if key is None or let_in.drop else let_in.sha256 == key["sha256"]
        mismatches[trail.sign.id] = _of_admission(recorded[trail.sign.id], let_in, key, same)
        refinement = None
        if key is not None and document.batch is not None and reached(trail.refine, self.records, recorded):
            position = key["position"]
            refinement = self.refiner.refine(document.batch, key, self.parts.get(position))
            drop = only(recorded[trail.refine.id])
            said = _difference(drop, refinement.drop, same)
            evaluated.add(trail.refine.id)
            mismatches[trail.refine.id] = said or self._of_text(refinement, self.written.get(position), same)
            for task in trail.steps:
                if isinstance(task.op, ir.Select) and reached(task, self.records, recorded) and not refinement.drop:
                    evaluated.add(task.id)
                    mismatches[task.id] = _of_selection(task, recorded[task.id], refinement, same)
        for task in trail.steps:
            if reached(task, self.records, recorded) and not mismatches.get(task.id):
                mismatches[task.id] = _of_tables(task, recorded[task.id])
        return Examined(
            doc_id=document.doc_id,
            key=key,
            recorded=recorded,
            document=document,
            admission=let_in,
            refinement=refinement,
            evaluated=frozenset(evaluated),
            mismatches={task: said for task, said in mismatches.items() if said},
        )

    def _of_text(self, refinement: Refinement, written: str | None, same: bool | None) -> str:
        if refinement.drop or written == hashlib.sha256(refinement.text.encode()).hexdigest():
            return ""
        return f"the text that was written is not what it would be now; {_cause(same)}"


def reached(task: Task, records: Records, recorded: Mapping[str, Recorded]) -> bool:
    """Whether a step is built and every step before it kept the document."""
    for step in records.trail.steps:
        if step.id == task.id:
            return recorded[step.id].kept is not None
        if not recorded[step.id].kept:
            return False
    return False


def _of_tables(task: Task, recorded: Recorded) -> str:
    """Whether a step that a document reached says one thing of it, not two and not none."""
    if recorded.kept and recorded.drops and not is_by_chunk(task):
        return "it is among the kept and among the dropped documents"
    return "" if recorded.kept or recorded.drops else "it is neither kept nor dropped: the artefact is not complete"


def only(recorded: Recorded) -> Drop | None:
    """The decision of a step that drops whole documents."""
    return next(iter(recorded.drops.values()), None)


def _of_admission(recorded: Recorded, now: Admission, key: Mapping[str, Any] | None, same: bool | None) -> str:
    said = _difference(only(recorded), now.drop, same)
    if said or key is None or now.drop:
        return said
    if not same:
        was, is_ = key["sha256"].hex()[:16], now.sha256.hex()[:16]
        return f"recorded SHA-256 {was}... but it is {is_}...; {_cause(same)}"
    for field in ("language", "held_out"):
        if key[field] != getattr(now, field):
            return f"recorded {field} {key[field]} but evaluates to {getattr(now, field)}; {_cause(same)}"
    return ""


def _of_selection(task: Task, recorded: Recorded, refinement: Refinement, same: bool | None) -> str:
    now = is_selected(task, str(refinement.row["doc_id"]), refinement.text)
    if now == recorded.kept:
        return ""
    was, is_ = ("kept" if kept else "dropped" for kept in (recorded.kept, now))
    return f"recorded {was} but evaluates to {is_}; {_cause(same)}"


def _difference(recorded: Drop | None, now: Drop | None, same: bool | None) -> str:
    """What differs between two decisions; "" where nothing does."""
    agree = recorded.agrees(now) if recorded and now else recorded is now
    return "" if agree else f"recorded {words(recorded)} but evaluates to {words(now)}; {_cause(same)}"


def _cause(same: bool | None) -> str:
    """Who changed: `same` says whether the text is still what was signed; None: nobody knows."""
    if same is None:
        return "the source or the code changed"
    return "the code changed, the text did not" if same else "the source changed"


def words(drop: Drop | None) -> str:
    """A decision in words.

    >>> words(None), words(Drop(rule="num_lines_min", value=3.0, threshold=5.0))
    ('kept', 'dropped by num_lines_min (value 3, threshold 5)')
    """
    if drop is None:
        return "kept"
    numbers = (("value", drop.value), ("threshold", drop.threshold))
    said = ", ".join(f"{name} {plain(number)}" for name, number in numbers if number is not None)
    return f"dropped by {drop.rule}" + (f" ({said})" if said else "")
