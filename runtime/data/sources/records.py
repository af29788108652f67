"""Documents read one at a time, gathered into batches. It opens no files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from runtime.data.sources.batches import MAX_ROWS, READ_SCHEMA, constant
from runtime.data.tables import Array


class Record(NamedTuple):
    """One document as read; `content` is None where it is missing."""

    doc_id: str
    repo: str
    path: str
    language: str | None
    stars: int
    commit_time: int
    content: bytes | None
    position: int


def batched(records: Iterable[Record], source: str, batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Batches of about `batch_bytes` of content, in the order of the records."""
    pending: list[Record] = []
    size = 0
    for record in records:
        pending.append(record)
        size += len(record.content or b"")
        if size >= batch_bytes or len(pending) >= MAX_ROWS:
            yield _batch(pending, source)
            pending, size = [], 0
    if pending:
        yield _batch(pending, source)


def _batch(records: Sequence[Record], source: str) -> pa.RecordBatch:
    values = dict(zip(Record._fields, zip(*records, strict=True), strict=True))
    arrays: dict[str, Array] = {"source": constant(source, len(records))}
    for name in Record._fields:
        kind = pa.large_binary() if name == "content" else READ_SCHEMA.field(name).type
        arrays[name] = pa.array(values[name], kind)
    return pa.RecordBatch.from_pydict({name: arrays[name] for name in READ_SCHEMA.names})
