"""Reading a task's documents: all its readers, this shard's part, defects dropped with their reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import pyarrow as pa

from compiler import ir
from compiler.metadata import locate
from runtime.data.funnel import Funnel
from runtime.data.sources import read_documents
from runtime.task import TaskContext


def documents(readers: Sequence[ir.Reader], ctx: TaskContext, funnel: Funnel | None) -> Iterator[pa.RecordBatch]:
    """Batches of all readers; without a funnel, unreadable documents are passed over: sign has counted them."""

    def on_drop(doc_id: str, rule: str, value: float | None) -> None:
        if funnel is not None:
            funnel.drop(doc_id, rule, value)

    for reader in readers:
        inputs = ctx.files(f"fetched:{reader.source}", "documents")
        located = attrs.evolve(reader, location=locate(reader.location, ctx.base)) if reader.location else reader
        yield from read_documents(located, inputs, ctx.shard, ctx.shards, on_drop=on_drop)
