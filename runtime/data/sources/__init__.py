"""Reading documents: Parquet, JSON Lines and directories of repositories, as batches of `READ_SCHEMA`.

Not a filter by taste: the only documents withheld are those that no later step could read as text, and each
is reported. A source is a line of bytes with every document at one place on it; a shard is a stretch of that
line, so that shards take equal bytes, each document comes exactly once, and documents come in the order of
their positions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from compiler.ir import Reader
from runtime.data.sources import directory, json_lines, parquet
from runtime.data.sources.batches import READ_SCHEMA, split_bytes
from runtime.data.sources.spans import Span, shard_range, shard_span
from runtime.data.sources.unreadable import OnDrop, defect, drop_unreadable

__all__ = [
    "READ_SCHEMA",
    "OnDrop",
    "Span",
    "defect",
    "read_at",
    "read_documents",
    "read_span",
    "shard_range",
    "size_of",
]

BATCH_BYTES = 4 << 20


def size_of(reader: Reader, inputs: Sequence[Path]) -> int:
    """How long a source is: its bytes, read from metadata alone, plus a little for each document.

    Of Parquet these are the uncompressed bytes of the content, of other formats the bytes of the files. Raises
    UserError for an empty source, and for files whose metadata cannot be read.
    """
    if reader.format in ("documents", "parquet"):
        return parquet.size_of(reader, inputs)
    return json_lines.size_of(reader) if reader.format == "jsonl" else directory.size_of(reader)


def read_documents(
    reader: Reader,
    inputs: Sequence[Path],
    shard: int,
    shards: int,
    *,
    on_drop: OnDrop,
    columns: Sequence[str] | None = None,
    batch_bytes: int = BATCH_BYTES,
) -> Iterator[pa.RecordBatch]:
    """The documents of shard `shard` (0-based) of `shards`; the rest is as for `read_span`."""
    span = shard_span(size_of(reader, inputs) if shards > 1 else 0, shard, shards)
    return read_span(reader, inputs, span, on_drop=on_drop, columns=columns, batch_bytes=batch_bytes)


def read_span(
    reader: Reader,
    inputs: Sequence[Path],
    span: Span,
    *,
    on_drop: OnDrop,
    columns: Sequence[str] | None = None,
    batch_bytes: int = BATCH_BYTES,
) -> Iterator[pa.RecordBatch]:
    """The documents of one stretch of a source, in batches of at most `batch_bytes` or one row.

    `inputs` are the Parquet files of format "documents"; other formats are found by `reader.location`.
    `columns` picks columns of `READ_SCHEMA` (default: all). Documents whose content is null, holds a
    NUL or is not UTF-8 go to `on_drop` instead; where `content` is not asked for, it is not read and
    nothing is dropped.

    `position` numbers the documents of a source in its order, with gaps, whatever the shards. A document without
    an id gets `SOURCE/REPO/PATH`; one without a path is called `FILE#ROW`, counted from 1. Raises UserError for
    an empty source, unreadable or truncated files, missing columns, bad JSON and values of the wrong type.
    """
    names = list(columns or READ_SCHEMA.names)
    with_content = "content" in names
    if reader.format in ("documents", "parquet"):
        raw = parquet.read(reader, inputs, span, with_content=with_content, batch_bytes=batch_bytes)
    elif reader.format == "jsonl":
        raw = json_lines.read(reader, span, with_content=with_content, batch_bytes=batch_bytes)
    else:
        raw = directory.read(reader, span, on_drop, with_content=with_content, batch_bytes=batch_bytes)
    for batch in raw:
        clean = drop_unreadable(batch, on_drop) if with_content else batch
        yield from split_bytes(clean.select(names), batch_bytes)


def read_at(
    reader: Reader,
    inputs: Sequence[Path],
    positions: Collection[int],
    *,
    on_drop: OnDrop,
    batch_bytes: int = BATCH_BYTES,
) -> Iterator[pa.RecordBatch]:
    """The documents at some positions of one source, in their order, for a look at a few of them.

    Of Parquet only the row groups that hold one are read, of JSON Lines only the files, of a directory only the
    documents themselves. Positions without a document give nothing; the rest is as for `read_span`.
    """
    if reader.format in ("documents", "parquet"):
        raw = parquet.pick(reader, inputs, positions, batch_bytes=batch_bytes)
    elif reader.format == "jsonl":
        raw = json_lines.pick(reader, positions, batch_bytes=batch_bytes)
    else:
        raw = directory.pick(reader, positions, on_drop, batch_bytes=batch_bytes)
    for batch in raw:
        yield drop_unreadable(batch, on_drop)
