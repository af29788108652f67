"""Clean documents as refine writes them: their schema and how a shard reads its part of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from runtime.data.sources import shard_range
from runtime.data.tables import DOCUMENT_SCHEMA

REFINED_SCHEMA = DOCUMENT_SCHEMA.append(pa.field("bytes", pa.int64())).append(pa.field("held_out", pa.bool_()))
SELECTION_SCHEMA = pa.schema([("doc_id", pa.string())])
BATCH_ROWS = 512


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


def selected_ids(files: Sequence[Path]) -> set[str] | None:
    """The ids of a selection, or None where everything is selected."""
    if not files:
        return None
    tables = [pq.read_table(path, columns=["doc_id"]) for path in files]
    return {str(doc_id) for table in tables for doc_id in table.column("doc_id").to_pylist()}
