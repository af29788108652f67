"""What the steps of a data set wrote down about some documents, asked of their Parquet files by DuckDB.

Only the columns and documents that are asked for are held. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import duckdb

from compiler import ir
from compiler.plan import Task
from runtime.lineage.facts import Drop
from runtime.lineage.trail import Trail, fetches
from runtime.report.built import Built

KEY_COLUMNS = ("position", "doc_id", "repo", "language", "bytes", "held_out", "sha256")


@attrs.frozen(kw_only=True)
class Recorded:
    """What a step says of a document: kept (None: the step has no artefact), and decisions by name.

    The name is the document's, or that of a chunk (`DOCUMENT#NUMBER`).
    """

    kept: bool | None = None
    drops: Mapping[str, Drop] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Records:
    """A data set's tables; `built` is the plan and its artefacts."""

    built: Built
    trail: Trail

    @property
    def steps(self) -> tuple[Task, ...]:
        """The tasks that may drop a document, those that make documents first."""
        return (*fetches(self.built.plan, self.trail), *self.trail.steps)

    def files(self, task: Task, output: str) -> list[str]:
        """Parquet files of an output; none where the task is not built."""
        artifact = self.built.artifacts.get(task.id)
        return [str(path) for path in artifact.files(output)] if artifact else []

    def keys(self, names: Collection[str]) -> dict[str, dict[str, Any]]:
        """The key rows of admitted documents, by id."""
        found = self._rows(KEY_COLUMNS, self.trail.sign, "keys", "doc_id IN (SELECT unnest($names))", names=list(names))
        return {row["doc_id"]: row for row in found}

    def at(self, task: Task, documents: Mapping[str, int | None]) -> dict[str, Recorded]:
        """What a step says of documents, given with their positions (None: never admitted)."""
        if task.id not in self.built.artifacts:
            return dict.fromkeys(documents, Recorded())
        drops: dict[str, dict[str, Drop]] = {name: {} for name in documents}
        for row in self._dropped(task, documents):
            name = row["doc_id"]
            owner = name.rpartition("#")[0] if is_by_chunk(task) else name
            drops[owner][name] = Drop(
                rule=row["rule"], value=row["value"], threshold=row["threshold"], kept=row["kept"]
            )
        kept = self._kept(task, [position for position in documents.values() if position is not None])
        return {name: Recorded(kept=at in kept, drops=drops[name]) for name, at in documents.items()}

    def _dropped(self, task: Task, documents: Collection[str]) -> list[dict[str, Any]]:
        columns = ("doc_id", "rule", "value", "threshold", "kept")
        return self._rows(
            columns, task, "dropped", f"{document_of(task)} IN (SELECT unnest($names))", names=list(documents)
        )

    def _kept(self, task: Task, positions: Sequence[int]) -> set[int]:
        output = kept_output(task)
        if output is None or not positions:
            return set()
        where = "position BETWEEN $low AND $high AND position IN (SELECT unnest($positions))"
        bounds = {"low": min(positions), "high": max(positions)}
        return {
            row["position"] for row in self._rows(("position",), task, output, where, positions=positions, **bounds)
        }

    def parts(self, positions: Sequence[int]) -> dict[int, list[int] | None]:
        """What is left of documents whose chunks were deduplicated: start, stop of each part; None: all of it."""
        before = self.built.plan.task(next(item.task for item in self.trail.refine.inputs if item.role == "kept"))
        if not positions or not is_by_chunk(before):
            return {}
        where = "position IN (SELECT unnest($positions))"
        rows = self._rows(("position", "parts"), before, "kept", where, positions=list(positions))
        return {row["position"]: row["parts"] for row in rows}

    def clean_digests(self, positions: Sequence[int]) -> dict[int, str]:
        """SHA-256 (in hex) of the texts that refine wrote, by position."""
        if not positions:
            return {}
        where = "position BETWEEN $low AND $high AND position IN (SELECT unnest($positions))"
        bounds = {"low": min(positions), "high": max(positions)}
        columns = ("position", "sha256(content) AS digest")
        rows = self._rows(columns, self.trail.refine, "documents", where, positions=list(positions), **bounds)
        return {row["position"]: row["digest"] for row in rows}

    def chunk(self, position: int, number: int) -> tuple[int, int]:
        """Start and stop, in bytes, of a chunk of a document; (0, 0) where there is no such chunk."""
        where = "position = $position AND chunk = $number"
        columns = ("start", "stop")
        rows = self._rows(columns, self.trail.sign, "chunks", where, position=position, number=number)
        return (rows[0]["start"], rows[0]["stop"]) if rows else (0, 0)

    def hits(self, task: Task, name: str) -> list[dict[str, Any]]:
        """What of benchmarks was found in a document."""
        columns = ("benchmark", "item", "kind", "matched", "places")
        return self._rows(columns, task, "hits", "doc_id = $name ORDER BY ALL", name=name)

    def dropped_for(self, task: Task, kept: str) -> int:
        """How many documents a step dropped in favour of one."""
        return int(self._rows(("count(*) AS number",), task, "dropped", "kept = $kept", kept=kept)[0]["number"])

    def _rows(
        self, columns: Sequence[str], task: Task, output: str, where: str, **parameters: Any
    ) -> list[dict[str, Any]]:
        files = self.files(task, output)
        if not files:
            return []
        query = f"SELECT {', '.join(columns)} FROM read_parquet($files) WHERE {where}"  # noqa: S608 - no value in it
        names = [column.rpartition(" AS ")[2] for column in columns]
        with connection() as duck:
            found = duck.execute(query, {"files": files, **parameters}).fetchall()
        return [dict(zip(names, row, strict=True)) for row in found]


@contextmanager
def connection(**views: Sequence[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that prints nothing, with a view per keyword over Parquet files."""
    with duckdb.connect() as duck:
        duck.execute("SET enable_progress_bar = false")
        for name, files in views.items():
            duck.read_parquet(list(files), union_by_name=True).create_view(name)
        yield duck


def document_of(task: Task, column: str = "doc_id") -> str:
    """SQL for the document that a dropped row is about: of a chunk, what stands before its number."""
    return f"regexp_replace({column}, '#[0-9]+$', '')" if is_by_chunk(task) else column


def is_by_chunk(task: Task) -> bool:
    """Whether a step drops chunks, which it calls DOCUMENT#NUMBER."""
    return isinstance(task.op, ir.Cluster) and task.op.granularity == "chunk"


def kept_output(task: Task) -> str | None:
    """The output that has a row, with its position, for every document that a step keeps; None: it has no such output.

    What a fetch or a web recall writes has no position yet: reading gives it one.
    """
    if isinstance(task.op, ir.Refine):
        return "documents"
    return next((name for name in ("selection", "kept", "keys") if name in task.op.outputs), None)
