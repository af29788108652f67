"""The history of one document: for every data set that saw it, step by step, what happened and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from compiler import ir
from compiler.plan import Task
from runtime.data.minhash import MinHasher
from runtime.lineage.examine import Examined, examine, only, reached
from runtime.lineage.facts import Drop, History, State, StepHistory
from runtime.lineage.find import all_records
from runtime.lineage.judge import Refiner, type_of
from runtime.lineage.recorded import Recorded, Records, is_by_chunk
from runtime.lineage.texts import text_anywhere
from runtime.lineage.trail import uses
from runtime.report.built import Built

NEAR = {"near_duplicate", "held_out_near"}


def histories(built: Built, base: Path, doc_id: str) -> list[History]:
    """The document in every data set that saw it; `base` is where relative paths of sources start.

    Raises UserError for sources that cannot be read.
    """
    found = []
    for records in all_records(built):
        if records.trail.sign.id in built.artifacts:
            (examined,) = examine(records, base, [doc_id])
            if examined.key or any(recorded.drops for recorded in examined.recorded.values()):
                found.append(_history(records, base, examined))
    return found


def _history(records: Records, base: Path, examined: Examined) -> History:
    key, trail = examined.key or {}, records.trail
    batch = examined.document.batch if examined.document else None
    row = batch.select(["source", "repo", "path"]).to_pylist()[0] if batch else {}
    position = key.get("position")
    if position is None and batch:
        position = batch.column("position")[0].as_py()
    steps = tuple(_steps(records, base, examined))
    through = steps[-1].state in ("kept", "shortened")
    language = key.get("language") or (examined.admission.language if examined.admission else None)
    return History(
        dataset=trail.dataset,
        doc_id=examined.doc_id,
        position=position,
        source=row.get("source", ""),
        repo=key.get("repo", row.get("repo")),
        path=row.get("path"),
        language=language,
        doc_type=type_of(language),
        size=key.get("bytes"),
        held_out=key.get("held_out", False),
        steps=steps,
        uses=tuple(uses(records.built.plan, trail)) if through else (),
    )


def _steps(records: Records, base: Path, examined: Examined) -> Iterator[StepHistory]:
    for task in records.steps:
        recorded = examined.recorded[task.id]
        if task not in records.trail.steps:
            if recorded.drops:
                yield _step(task, "dropped", drop=only(recorded))
        elif recorded.kept is None:
            yield _step(task, "not built")
        elif not reached(task, records, examined.recorded):
            yield _step(task, "not reached", mismatch=examined.mismatches.get(task.id, ""))
        else:
            yield _reached_step(records, base, examined, task, recorded)


def _reached_step(records: Records, base: Path, examined: Examined, task: Task, recorded: Recorded) -> StepHistory:
    state: State = "kept" if recorded.kept else "dropped"
    if is_by_chunk(task) and recorded.kept and recorded.drops:
        state = "shortened"
    drop = None if is_by_chunk(task) else only(recorded)
    said = examined.mismatches.get(task.id, "")
    step = _step(task, state, drop=drop, evaluated=task.id in examined.evaluated, mismatch=said)
    if isinstance(task.op, ir.Cluster | ir.DropTwins):
        return _with_cluster(step, records, base, examined, task, recorded)
    if isinstance(task.op, ir.Refine) and examined.refinement:
        with Refiner(task.op) as refiner:
            rules = refiner.rules(examined.refinement)
        return attrs.evolve(step, rules=rules, redactions=examined.refinement.redactions)
    if isinstance(task.op, ir.Decontaminate):
        return attrs.evolve(step, hits=tuple(records.hits(task, examined.doc_id)))
    return step


def _step(task: Task, state: State, **more: Any) -> StepHistory:
    return StepHistory(task=task.id, step=step_name(task), op=task.op.op_id, state=state, **more)


def step_name(task: Task) -> str:
    """What people call a step: the name that its dropped rows bear."""
    if isinstance(task.op, ir.Sign | ir.Refine):
        return "admit" if isinstance(task.op, ir.Sign) else "filter"
    return str(getattr(task.op, "step", task.id.partition("/")[2]))


# ---------------------------------------------------------------- duplicates


def _with_cluster(
    step: StepHistory, records: Records, base: Path, examined: Examined, task: Task, recorded: Recorded
) -> StepHistory:
    """The representative, how many it stands for, and how near it is."""
    if is_by_chunk(task):
        return attrs.evolve(step, chunks=recorded.drops, granularity="chunk")
    name = examined.doc_id
    by_repository = isinstance(task.op, ir.Cluster) and task.op.granularity == "repository"
    if by_repository:
        name = str((examined.key or {})["repo"])
        step = attrs.evolve(step, granularity="repository")
    representative = step.drop.kept if step.drop and step.drop.kept else name
    step = attrs.evolve(step, stands_for=records.dropped_for(task, representative))
    if step.drop and step.drop.rule in NEAR and not by_repository:
        return attrs.evolve(step, similarity=_similarity(records, base, examined, task, step.drop))
    return step


def _similarity(records: Records, base: Path, examined: Examined, task: Task, drop: Drop) -> float | None:
    """Jaccard index of the n-grams of the document and of the one kept in its stead, both as they are now."""
    key = _minhash_key(records, task)
    mine = examined.document.batch if examined.document else None
    other = text_anywhere(records.built, base, str(drop.kept))
    if key is None or mine is None or other is None:
        return None
    hasher = MinHasher(num_perm=1, seed=key.seed, ngram=key.ngram, unit=key.unit)
    left, right = (hasher.shingle_hashes(text) for text in (mine.column("content")[0].as_py(), other))
    shared = np.intersect1d(left, right, assume_unique=True).size
    union = left.size + right.size - shared
    return shared / union if union else None


def _minhash_key(records: Records, task: Task) -> ir.MinHashKey | None:
    """The key that a step compares by: named by itself, or by the edges that it reads."""
    sign = records.trail.sign.op
    edges = (records.built.plan.task(item.task).op for item in task.inputs if item.role == "edges")
    index = getattr(next(edges, task.op), "key", None)
    return sign.near[index] if isinstance(sign, ir.Sign) and index is not None else None
