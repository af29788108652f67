"""Instruction pairs: made from functions or read from files, then encoded with the place where the answer starts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from compiler import ir
from compiler.errors import UserError
from compiler.metadata import locate
from runtime.data import duck
from runtime.data.bpe import Encoder
from runtime.data.indexed import IndexedWriter
from runtime.data.instruct import pairs
from runtime.data.operators.tokens import END_OF_TEXT, PREFIX, encoder_of
from runtime.data.refined import read_refined, selected_ids
from runtime.data.tables import TableWriter
from runtime.task import TaskContext

PAIRS_SCHEMA = pa.schema([(name, pa.string()) for name in ("pair_id", "language", "instruction", "output")])
READERS = {"parquet": "read_parquet", "jsonl": "read_json_auto"}


def make_pairs(op: ir.MakePairs, ctx: TaskContext) -> None:
    """Pairs of this shard's training documents."""
    chosen = selected_ids(ctx.files("selection", "selection"))
    columns = ("doc_id", "language", "content", "held_out")
    with TableWriter(ctx.output("pairs"), PAIRS_SCHEMA) as writer:
        for batch in read_refined(ctx.files("documents", "documents"), ctx.shard, ctx.shards, columns):
            for row in batch.to_pylist():
                if row["held_out"] or row["language"] not in op.languages:
                    continue
                if chosen is not None and row["doc_id"] not in chosen:
                    continue
                found = pairs(row["content"], row["language"], row["doc_id"], min_docstring=op.min_docstring_chars)
                writer.write_rows(
                    [
                        {
                            "pair_id": f"{pair.doc_id}#{pair.start_line}",
                            "language": pair.language,
                            "instruction": pair.instruction,
                            "output": pair.output,
                        }
                        for pair in found
                    ]
                )
    ctx.stats["pairs"] = writer.rows


def read_pairs(op: ir.ReadPairs, ctx: TaskContext) -> None:
    """Pairs from files; the columns are named in the spec."""
    location = locate(op.location, ctx.base)
    with duck.session(ctx) as connection:
        query = f"""\
SELECT '{op.dataset}#' || row_number() OVER () AS pair_id, NULL::VARCHAR AS language,
  "{op.instruction}" AS instruction, "{op.output}" AS output
FROM {READERS[op.format]}({json.dumps(location).replace('"', "'")})"""
        ctx.stats["pairs"] = duck.write(connection, query, ctx.output("pairs"), PAIRS_SCHEMA)


def encode_pairs(op: ir.EncodePairs, ctx: TaskContext) -> None:
    """Samples in a seeded order; answers that occur twice are taken once, samples without room for one are left out."""
    encoder = encoder_of(ctx)
    starts: list[int] = []
    tokens = skipped = 0
    with (
        duck.session(ctx, pairs=ctx.files("pairs", "pairs")) as connection,
        IndexedWriter(ctx.output("tokens") / PREFIX, encoder.dtype) as writer,
    ):
        for batch in duck.batches(connection, ctx.sql["pairs"]):
            for row in batch.to_pylist():
                prompt, answer = chat_tokens(encoder, row["instruction"], row["output"])
                if len(prompt) >= op.max_length:
                    skipped += 1
                    continue
                sample = np.concatenate([prompt, answer])[: op.max_length]
                writer.add(sample)
                starts.append(len(prompt))
                tokens += len(sample)
    if not starts:
        raise UserError(
            f"no instruction pair of {op.dataset!r} fits {op.max_length} tokens ({skipped} are longer)",
            fix="raise max_length or give other pairs",
        )
    np.save(ctx.output("tokens") / "answer_start.npy", np.array(starts, dtype=np.int32))
    ctx.stats.update(samples=len(starts), too_long=skipped, tokens=tokens)


def chat_tokens(encoder: Encoder, instruction: str, output: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Prompt and answer in ChatML; the answer ends with a newline, the end mark and end-of-text (OpenCoder 4)."""
    start, end = encoder.special("<|im_start|>"), encoder.special("<|im_end|>")
    user, assistant = encoder.encode(f"user\n{instruction}"), encoder.encode("assistant\n")
    newline = encoder.encode("\n")
    prompt = np.concatenate([[start], user, [end], newline, [start], assistant])
    answer = np.concatenate([encoder.encode(output.rstrip("\n") + "\n"), [end, encoder.special(END_OF_TEXT)]])
    return prompt.astype(encoder.dtype), answer.astype(encoder.dtype)
