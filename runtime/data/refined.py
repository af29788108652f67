"""Clean documents as refine writes them, verdicts about documents, and how both are read side by side.

Tables of documents and of verdicts are sorted by position, so that a shard reads both as streams and holds one batch of
each: memory does not grow with the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from runtime.data.sources.spans import shard_range
from runtime.data.tables import DOCUMENT_SCHEMA, schema_of

REFINED_SCHEMA = schema_of(
    {
        **{field.name: field.type for field in DOCUMENT_SCHEMA},
        "bytes": pa.int64(),
        "held_out": pa.bool_(),
        "position": pa.int64(),
    }
)
"""A clean document a row, by position; `bytes` are those of its content."""

SELECTION_SCHEMA = schema_of({"position": pa.int64()})
"""The documents that are left, by position."""

BATCH_ROWS = 512
_VERDICT_ROWS = 8192


def read_refined(
    files: Sequence[Path], shard: int, shards: int, columns: Sequence[str], batch_rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Rows of one shard: a range over all files end to end; row groups outside it are not read."""
    total = sum(pq.read_metadata(path).num_rows for path in files)
    first, last = shard_range(total, shard, shards)
    start = 0
    for path in files:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if start < last and start + rows > first:
                    for batch in file.iter_batches(batch_rows, row_groups=[group], columns=list(columns)):
                        part = batch.slice(max(0, first - start), max(0, last - max(start, first)))
                        start += batch.num_rows
                        if part.num_rows:
                            yield part
                else:
                    start += rows


class Verdicts:
    """What is said of documents in a table sorted by position, looked up for batches of growing positions.

    Row groups that end before the first position asked for are not read. Raises ValueError where positions do not
    grow from one call to the next.
    """

    def __init__(self, files: Sequence[Path], columns: Sequence[str] = ()) -> None:
        self._files = files
        self._columns = ["position", *columns]
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._pending: list[pa.RecordBatch] = []
        self._last = -1

    def of(self, positions: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], pa.Table]:
        """Which of `positions` have a verdict, as indices into them [k], and the k verdicts in their order."""
        if len(positions) == 0:
            return np.zeros(0, dtype=np.int64), self._table([])
        if positions[0] <= self._last or np.any(np.diff(positions) <= 0):
            raise ValueError(f"positions do not grow: {self._last}, then {positions[:3].tolist()} ...")
        self._last = int(positions[-1])
        table = self._upto(int(positions[0]), self._last)
        known = table.column("position").to_numpy()
        at = np.searchsorted(known, positions)
        found = np.flatnonzero(np.append(known, -1)[at] == positions)
        return found, table.take(pa.array(at[found], pa.int64()))

    def _upto(self, first: int, last: int) -> pa.Table:
        """The rows at positions first .. last; those before are forgotten."""
        if self._batches is None:
            self._batches = _from(self._files, first, self._columns)
        kept = [batch for batch in self._pending if _end(batch) >= first]
        while not kept or _end(kept[-1]) < last:
            batch = next(self._batches, None)
            if batch is None:
                break
            if batch.num_rows and _end(batch) >= first:
                kept.append(batch)
        self._pending = kept
        return self._table(kept)

    def _table(self, batches: list[pa.RecordBatch]) -> pa.Table:
        if batches:
            return pa.Table.from_batches(batches)
        return pq.read_schema(self._files[0]).empty_table().select(self._columns)


def _end(batch: pa.RecordBatch) -> int:
    return int(batch.column("position")[-1].as_py())


def _from(files: Sequence[Path], first: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Batches from the row group on that may hold the position `first`."""
    for path in files:
        with pq.ParquetFile(path) as file:
            groups = [g for g in range(file.num_row_groups) if _end_of(file.metadata.row_group(g)) >= first]
            if groups:
                yield from file.iter_batches(_VERDICT_ROWS, row_groups=groups, columns=columns)


def _end_of(group: pq.RowGroupMetaData) -> int:
    """The last position of a row group, by its statistics; without them, one that no document stands behind."""
    chunks = (group.column(i) for i in range(group.num_columns))
    statistics: Any = next(chunk.statistics for chunk in chunks if chunk.path_in_schema == "position")
    return int(statistics.max) if statistics is not None and statistics.has_min_max else 1 << 62


class Selection:
    """The documents that are left after the steps that choose; without such a step, all."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._verdicts = Verdicts(files) if files else None

    def indices(self, batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
        """The rows of a batch with a column `position` that are selected; batches come by growing position."""
        if self._verdicts is None:
            return np.arange(batch.num_rows)
        return self._verdicts.of(batch.column("position").to_numpy())[0]
