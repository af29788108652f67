"""Reading a task's documents: all its readers end to end, this shard's part, defects dropped with their reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import pyarrow as pa
import pyarrow.compute as pc

from compiler import ir
from compiler.metadata import locate
from runtime.data.funnel import Funnel
from runtime.data.sources import read_span, size_of
from runtime.data.sources.spans import WHOLE, Span, shard_span
from runtime.task import TaskContext

POSITION_BITS = 42
"""Bits of a position that number the documents of one reader; the reader's number stands above them."""


def documents(readers: Sequence[ir.Reader], ctx: TaskContext, funnel: Funnel | None) -> Iterator[pa.RecordBatch]:
    """Batches of `READ_SCHEMA`, by growing position over all shards in turn.

    Without a funnel, unreadable documents are passed over: sign has counted them.
    """

    def on_drop(doc_id: str, rule: str, value: float | None) -> None:
        if funnel is not None:
            funnel.drop(doc_id, rule, value)

    for index, (reader, inputs, span) in enumerate(_parts(readers, ctx)):
        if span.stop != 0:
            for batch in read_span(reader, inputs, span, on_drop=on_drop):
                yield _numbered(batch, index << POSITION_BITS)


def _parts(readers: Sequence[ir.Reader], ctx: TaskContext) -> list[tuple[ir.Reader, list[Path], Span]]:
    """Each reader with its files and this shard's stretch of it; readers stand one after another on one line."""
    located = [attrs.evolve(r, location=locate(r.location, ctx.base)) if r.location else r for r in readers]
    inputs = [ctx.files(f"fetched:{reader.source}", "documents") for reader in readers]
    if ctx.shards == 1:
        return [(reader, files, WHOLE) for reader, files in zip(located, inputs, strict=True)]
    sizes = [size_of(reader, files) for reader, files in zip(located, inputs, strict=True)]
    mine = shard_span(sum(sizes), ctx.shard, ctx.shards)
    return [
        (reader, files, mine.within(sum(sizes[:k]), sum(sizes[: k + 1])))
        for k, (reader, files) in enumerate(zip(located, inputs, strict=True))
    ]


def _numbered(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    index = batch.schema.get_field_index("position")
    return batch.set_column(index, "position", pc.add(batch.column("position"), first))
