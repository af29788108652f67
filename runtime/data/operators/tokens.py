"""Text to tokens: train or import the tokenizer, encode documents, pack them for Megatron."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from compiler import ir
from compiler.errors import UserError, UserErrors
from compiler.metadata import locate
from runtime.data import duck
from runtime.data.bpe import TOKENIZER_FILE, Encoder
from runtime.data.bpe import train_bpe as train
from runtime.data.draw import apportion
from runtime.data.indexed import IndexedWriter
from runtime.data.operators.emptied import nothing_left
from runtime.data.refined import Selection, read_refined
from runtime.data.tables import TableWriter, schema_of
from runtime.task import TaskContext

END_OF_TEXT = "<|endoftext|>"
TOKENS_SCHEMA = schema_of({"doc_id": pa.string(), "tokens": pa.list_(pa.int32())})
PREFIX = "tokens"
SHA256 = re.compile(r"[0-9a-f]{64}")  # a spec may also name a version


def train_bpe(op: ir.TrainBPE, ctx: TaskContext) -> None:
    """Train on a sample whose bytes are shared among the data sets as the mixture is."""
    sample = apportion(op.sample_bytes, {share.dataset: share.share for share in op.shares})

    def texts() -> Iterator[str]:
        for dataset, size in sorted(sample.items()):
            with duck.session(ctx, documents=ctx.files(f"documents:{dataset}", "documents")) as connection:
                duck.selection_view(connection, ctx.files(f"selection:{dataset}", "selection"))
                connection.execute(f"SET VARIABLE sample_bytes = {size}")
                for batch in duck.batches(connection, ctx.sql["sample"]):
                    yield from map(str, batch.column("content").to_pylist())

    text = texts()
    first = next(text, None)
    if first is None:
        raise UserErrors([_no_text(dataset, ctx) for dataset in sorted(sample)])
    train(chain([first], text), op.vocab_size, op.special_tokens, ctx.output("tokenizer"))


def _no_text(dataset: str, ctx: TaskContext) -> UserError:
    roles = (f"documents:{dataset}", f"selection:{dataset}")
    artifacts = [artifact for role in roles for artifact in ctx.inputs.get(role, ())]
    return nothing_left(dataset, "to train the tokenizer on", artifacts)


def import_tokenizer(op: ir.ImportTokenizer, ctx: TaskContext) -> None:
    """Copy a tokenizer.json and check its digest, where the spec gives one, and its vocabulary."""
    source = locate(op.location, ctx.base)
    try:
        data = Path(source).read_bytes()
    except OSError as error:
        raise UserError(
            f"the tokenizer cannot be read ({error.strerror})", where=source, fix="correct its path"
        ) from None
    digest = hashlib.sha256(data).hexdigest()
    if SHA256.fullmatch(op.digest) and op.digest != digest:
        raise UserError(
            f"the tokenizer has SHA-256 {digest[:16]}..., the spec says {op.digest[:16]}...",
            where=source,
            fix="correct its path or its digest",
        )
    size = Encoder.load(Path(source)).vocab_size
    (ctx.output("tokenizer") / TOKENIZER_FILE).write_bytes(data)
    if size > op.vocab_size:
        raise UserError(
            f"the tokenizer has {size} entries, the spec says {op.vocab_size}",
            where=source,
            fix="raise vocab_size",
        )


def encoder_of(ctx: TaskContext) -> Encoder:
    """The encoder of the task's tokenizer."""
    return Encoder.load(ctx.input("tokenizer").path / "tokenizer" / TOKENIZER_FILE)


def encode(op: ir.Encode, ctx: TaskContext) -> None:
    """Token ids of this shard's training documents, each ended by end-of-text."""
    encoder = encoder_of(ctx)
    end = encoder.special(END_OF_TEXT)
    chosen = Selection(ctx.files("selection", "selection"))
    total = 0
    with TableWriter(ctx.output("tokens"), TOKENS_SCHEMA) as writer:
        for batch in read_refined(
            ctx.files("documents", "documents"), ctx.shard, ctx.shards, ("position", "doc_id", "content", "held_out")
        ):
            rows = [row for row in batch.take(chosen.indices(batch)).to_pylist() if not row["held_out"]]
            encoded = encoder.encode_batch([row["content"] for row in rows], ctx.threads)
            writer.write_rows(
                [
                    {"doc_id": row["doc_id"], "tokens": np.append(ids.astype(np.int32), np.int32(end))}
                    for row, ids in zip(rows, encoded, strict=True)
                ]
            )
            total += sum(len(ids) + 1 for ids in encoded)
            ctx.progress(total, 0, "tokens")
    ctx.stats.update(documents=writer.rows, tokens=total)


def pack(op: ir.Pack, ctx: TaskContext) -> None:
    """All documents in a seeded order as tokens.bin and tokens.idx."""
    dtype = encoder_of(ctx).dtype
    total = documents = 0
    with (
        duck.session(ctx, tokens=ctx.files("tokens", "tokens")) as connection,
        IndexedWriter(ctx.output("tokens") / PREFIX, dtype) as writer,
    ):
        for batch in duck.batches(connection, ctx.sql["tokens"]):
            for row in batch.column("tokens"):
                ids = row.values.to_numpy()
                writer.add(ids)
                total += len(ids)
                documents += 1
    if not documents:
        raise nothing_left(op.dataset, "for training", ctx.inputs["tokens"])
    ctx.stats.update(documents=documents, tokens=total)
