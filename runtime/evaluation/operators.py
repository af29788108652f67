"""The evaluation operators: held-out documents scored by a checkpoint, and by the n-gram yardstick. Glue only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from compiler import ir
from runtime.data import duck
from runtime.data.bpe import Encoder
from runtime.data.indexed import IndexedReader
from runtime.data.operators.held_out import no_held_out_document
from runtime.data.operators.tokens import END_OF_TEXT, PREFIX, encoder_of
from runtime.data.tables import TableWriter, schema_of
from runtime.evaluation.bits_per_byte import DocumentBits, bits_table, document_bits
from runtime.evaluation.ngram import ByteNGram
from runtime.task import TaskContext

BITS_SCHEMA = schema_of({"doc_id": pa.string(), "language": pa.string(), "bytes": pa.int64(), "bits": pa.float64()})
RESULT_FILE = "bits_per_byte.json"


def bits_per_byte(op: ir.BitsPerByte, ctx: TaskContext) -> None:
    """Score every held-out document, its end included, under the checkpoint."""
    from runtime.training.score import token_log_probs

    encoder = encoder_of(ctx)
    end = encoder.special(END_OF_TEXT)
    rows = _held_out(ctx)
    sequences = (np.concatenate([[end], encoder.encode(row["content"]), [end]]) for row in rows)
    scored = token_log_probs(ctx.input("checkpoint").path / "checkpoint", sequences, threads=ctx.threads)
    bits = []
    for number, log_probs in enumerate(scored):
        bits.append(float(document_bits(log_probs, [len(log_probs)])[0]))
        ctx.progress(number + 1, len(rows), "documents")
    _write(ctx, rows, bits, {"model": "checkpoint"})


def ngram(op: ir.NGram, ctx: TaskContext) -> None:
    """Train a byte n-gram model on the text that the stages saw, then score the same held-out documents."""
    model = ByteNGram.train(_seen(ctx), op.order)
    rows = _held_out(ctx)
    bits = [model.bits(row["content"].encode()) for row in rows]
    _write(ctx, rows, bits, {"model": f"byte {op.order}-gram"})


def _held_out(ctx: TaskContext) -> list[dict[str, Any]]:
    with duck.session(ctx, documents=ctx.files("documents", "documents")) as connection:
        rows = [row for batch in duck.batches(connection, ctx.sql["held_out"]) for row in batch.to_pylist()]
    if not rows:
        raise no_held_out_document()
    return rows


def _seen(ctx: TaskContext) -> Iterator[bytes]:
    """The text of every sequence that the stages drew, in the order of training."""
    encoder = encoder_of(ctx)
    stages = [role.partition(":")[2] for role in ctx.inputs if role.startswith("blend:")]
    for stage in stages:
        readers = [IndexedReader(a.path / "tokens" / PREFIX) for a in ctx.inputs[f"tokens:{stage}"]]
        directory = ctx.input(f"blend:{stage}").path / "blend"
        blend = json.loads((directory / "blend.json").read_text())
        samples = all((a.path / "tokens" / "answer_start.npy").exists() for a in ctx.inputs[f"tokens:{stage}"])
        for phase in blend["phases"]:
            order = np.load(directory / phase["order"])
            yield from _texts(encoder, readers, order, None if samples else phase["sequence_length"])


def _texts(encoder: Encoder, readers: list[IndexedReader], order: Any, length: int | None) -> Iterator[bytes]:
    """Decoded sequences; end-of-text separates documents, which the n-gram model must not see as text."""
    end = encoder.special(END_OF_TEXT)
    for dataset, at in order.tolist():
        reader = readers[dataset]
        ids = reader[at] if length is None else reader.tokens[at : at + length]
        for part in np.split(ids, np.flatnonzero(ids == end)):
            plain = part[part != end]
            if len(plain):
                yield encoder.decode_bytes(plain)


def _write(ctx: TaskContext, rows: list[dict[str, Any]], bits: Iterable[float], about: dict[str, str]) -> None:
    scored = [
        {
            "doc_id": row["doc_id"],
            "language": row["language"],
            "bytes": len(row["content"].encode()),
            "bits": value,
        }
        for row, value in zip(rows, bits, strict=True)
    ]
    with TableWriter(ctx.output("bits"), BITS_SCHEMA) as writer:
        writer.write_rows(scored)
    ctx.stats.update(documents=len(scored), bytes=sum(row["bytes"] for row in scored))
    table = bits_table(DocumentBits(row["bits"], row["bytes"], row["language"]) for row in scored)
    result = json.dumps({**about, **table}, indent=1, sort_keys=True) + "\n"
    (ctx.output("result") / RESULT_FILE).write_text(result)
