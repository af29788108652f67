"""Decide about a sample of documents anew and compare: the proof that what is recorded is what the code says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import attrs

from compiler.emit.duckdb_sql import seeded_order
from compiler.errors import UserError
from runtime.lineage.examine import examine
from runtime.lineage.find import all_records
from runtime.lineage.recorded import Records, connection, kept_output
from runtime.report.built import Built


@attrs.frozen(kw_only=True)
class Mismatch:
    """A document for which a step recorded something else than its code says now."""

    dataset: str
    doc_id: str
    task: str
    said: str


@attrs.frozen(kw_only=True)
class Checked:
    """A sample of one data set: documents decided anew by what had become of them, decisions by task, mismatches."""

    dataset: str
    documents: Mapping[str, int]
    decisions: Mapping[str, int]
    mismatches: tuple[Mismatch, ...]


def check(built: Built, base: Path, documents: int, seed: int = 0) -> list[Checked]:
    """Decide anew about up to `documents` documents of every built data set, half of them kept, half dropped.

    Where there are too few of one half, the other fills up. The sample goes by a hash of seed and id. Raises
    UserError where no data set is built.
    """
    found = [records for records in all_records(built) if records.trail.sign.id in built.artifacts]
    if not found:
        raise UserError(f"no data set of {built.plan.experiment!r} is built yet", fix="run `ocspec submit` first")
    return [_check(records, base, documents, seed) for records in found]


def _check(records: Records, base: Path, documents: int, seed: int) -> Checked:
    outcome, decisions = Counter[str](), Counter[str]()
    mismatches = []
    for examined in examine(records, base, sample(records, documents, seed)):
        last = examined.recorded[_last_built(records)]
        outcome["kept" if last.kept else "dropped"] += 1
        decisions.update(examined.evaluated)
        mismatches += [
            Mismatch(dataset=records.trail.dataset, doc_id=examined.doc_id, task=task, said=said)
            for task, said in examined.mismatches.items()
        ]
    order = [task.id for task in records.steps]
    counted = dict(sorted(decisions.items(), key=lambda item: order.index(item[0])))
    return Checked(
        dataset=records.trail.dataset,
        documents=dict(sorted(outcome.items())),
        decisions=counted,
        mismatches=tuple(mismatches),
    )


def sample(records: Records, documents: int, seed: int) -> list[str]:
    """Ids of documents that the data set kept and dropped, as many of each as there are, in a seeded order."""
    kept, dropped = (_ids(records, documents, seed, kept=kept) for kept in (True, False))
    half = documents // 2
    few = min(len(dropped), half + documents % 2)
    return [*kept[: documents - few], *dropped[: documents - min(len(kept), documents - few)]]


def _ids(records: Records, documents: int, seed: int, *, kept: bool) -> list[str]:
    last = next(task for task in records.trail.steps if task.id == _last_built(records))
    output = kept_output(last)
    assert output is not None
    views = {"keys": records.files(records.trail.sign, "keys"), "last": records.files(last, output)}
    join = "SEMI JOIN" if kept else "ANTI JOIN"
    ids = f"SELECT doc_id FROM keys {join} last USING (position)"  # noqa: S608 - no value in it
    if not kept:
        ids += " UNION ALL SELECT doc_id FROM refused"
        views["refused"] = records.files(records.trail.sign, "dropped")
    with connection(**views) as duck:
        query = f"SELECT doc_id FROM ({ids}) ORDER BY {seeded_order(seed)} LIMIT {documents}"  # noqa: S608 - no value
        return [name for (name,) in duck.execute(query).fetchall()]


def _last_built(records: Records) -> str:
    """The last step with an artefact; steps are built in their order."""
    return [task.id for task in records.trail.steps if task.id in records.built.artifacts][-1]
