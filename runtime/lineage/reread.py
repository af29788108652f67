"""Documents read again from their sources, a few of them: by position, or found by id. It judges nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import attrs
import pyarrow as pa
import pyarrow.compute as pc

from compiler import ir
from compiler.errors import UserError
from compiler.metadata import locate
from compiler.plan import Task
from runtime.data.operators.reading import POSITION_BITS
from runtime.data.sources import read_at, read_span
from runtime.data.sources.spans import WHOLE
from runtime.lineage.facts import Drop
from runtime.report.built import Built


@attrs.frozen(kw_only=True)
class Reread:
    """A document as it is read now: one row of `READ_SCHEMA`, or None with the reason why it is no text."""

    doc_id: str
    batch: pa.RecordBatch | None
    unreadable: Drop | None = None


@attrs.frozen
class Rereader:
    """The readers of one task with their files, in the order that positions count them in."""

    readers: tuple[tuple[ir.Reader, tuple[Path, ...]], ...]

    @classmethod
    def of(cls, task: Task, built: Built, base: Path) -> Rereader:
        """The readers of a task; relative locations start at `base`. UserError where fetched documents are gone."""
        readers = getattr(task.op, "readers", ())
        return cls(tuple((_located(reader, base), _fetched(reader, task, built)) for reader in readers))

    def at(self, positions: Collection[int]) -> Iterator[Reread]:
        """The documents at some positions, one after another; those that are gone are left out."""
        wanted: defaultdict[int, list[int]] = defaultdict(list)
        for position in positions:
            wanted[position >> POSITION_BITS].append(position & ((1 << POSITION_BITS) - 1))
        for index, own in sorted(wanted.items()):
            reader, inputs = self.readers[index]
            unreadable: list[Reread] = []

            def on_drop(doc_id: str, rule: str, value: float | None, to: list[Reread] = unreadable) -> None:
                to.append(Reread(doc_id=doc_id, batch=None, unreadable=Drop(rule=rule, value=value)))

            for batch in read_at(reader, inputs, own, on_drop=on_drop):
                for row in range(batch.num_rows):
                    yield _reread(batch.slice(row, 1), index << POSITION_BITS)
            yield from unreadable

    def find(self, names: Collection[str]) -> dict[str, int]:
        """Positions of documents by id, also of those that were never admitted; all ids of the source are read."""
        left, found = set(names), dict[str, int]()
        for index, (reader, inputs) in enumerate(self.readers):
            batches = read_span(reader, inputs, WHOLE, on_drop=_ignore, columns=("doc_id", "position"))
            for batch in batches if left else ():
                there = batch.filter(pc.is_in(batch.column("doc_id"), pa.array(sorted(left), pa.string())))
                for row in there.to_pylist():
                    found[row["doc_id"]] = row["position"] | index << POSITION_BITS
                    left.discard(row["doc_id"])
                if not left:
                    break
        return found


def _ignore(doc_id: str, rule: str, value: float | None) -> None:
    """Ids are read without the content, of which this would tell."""


def _reread(batch: pa.RecordBatch, first: int) -> Reread:
    index = batch.schema.get_field_index("position")
    batch = batch.set_column(index, "position", pc.add(batch.column("position"), first))
    return Reread(doc_id=str(batch.column("doc_id")[0]), batch=batch)


def _located(reader: ir.Reader, base: Path) -> ir.Reader:
    return attrs.evolve(reader, location=locate(reader.location, base)) if reader.location else reader


def _fetched(reader: ir.Reader, task: Task, built: Built) -> tuple[Path, ...]:
    makers: Sequence[str] = [item.task for item in task.inputs if item.role == f"fetched:{reader.source}"]
    for maker in makers:
        if maker not in built.artifacts:
            raise UserError(f"{maker} is not built, so its documents cannot be read", fix="run `ocspec submit`")
    return tuple(path for maker in makers for path in built.artifacts[maker].files("documents"))
