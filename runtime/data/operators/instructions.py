"""Instruction pairs: made from functions or read from files, then encoded with the place where the answer starts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

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
from runtime.data.refined import Selection, read_refined
from runtime.data.sources import read_documents
from runtime.data.tables import TableWriter
from runtime.data.treesitter import isolated
from runtime.task import TaskContext

PAIRS_SCHEMA = pa.schema([(name, pa.string()) for name in ("pair_id", "language", "instruction", "output")])


def make_pairs(op: ir.MakePairs, ctx: TaskContext) -> None:
    """Pairs of this shard's training documents."""
    chosen = Selection(ctx.files("selection", "selection"))
    columns = ("position", "doc_id", "language", "content", "held_out")
    failed = 0
    with TableWriter(ctx.output("pairs"), PAIRS_SCHEMA) as writer, isolated.parser_process():
        for batch in read_refined(ctx.files("documents", "documents"), ctx.shard, ctx.shards, columns):
            for row in batch.take(chosen.indices(batch)).to_pylist():
                if row["held_out"] or row["language"] not in op.languages:
                    continue
                try:
                    found = isolated.call(
                        pairs, row["content"], row["language"], row["doc_id"], min_docstring=op.min_docstring_chars
                    )
                except isolated.ParserFailed:
                    failed += 1
                    continue
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
    ctx.stats.update(pairs=writer.rows, parser_failed=failed)


def read_pairs(op: ir.ReadPairs, ctx: TaskContext) -> None:
    """Pairs from files, numbered in their order; rows without an instruction or an output are left out and counted."""
    instructions, outputs = (_Column(op, side, ctx) for side in ("instruction", "output"))
    with TableWriter(ctx.output("pairs"), PAIRS_SCHEMA) as writer:
        for number, (instruction, output) in enumerate(_matched(instructions, outputs), start=1):
            pair = {"pair_id": f"{op.dataset}#{number}", "instruction": instruction, "output": output}
            writer.write_rows([pair])
    dropped = len(instructions.dropped | outputs.dropped)
    if not writer.rows:
        raise UserError(
            f"no row of {op.dataset!r} is a pair: {dropped} lack an instruction or an output that is text",
            where=locate(op.location, ctx.base),
            fix="look at the data, and at which columns the spec names",
        )
    ctx.stats.update(pairs=writer.rows, dropped_rows=dropped)


class _Column:
    """One column of the pairs, read like the content of documents: (row's name, text), and the rows without text."""

    def __init__(self, op: ir.ReadPairs, side: Literal["instruction", "output"], ctx: TaskContext) -> None:
        self.dropped: set[str] = set()
        self._side = side
        columns = ir.Columns(content=op.instruction if side == "instruction" else op.output, repo="", path="")
        location = locate(op.location, ctx.base)
        self._reader = ir.Reader(source=op.dataset, format=op.format, columns=columns, location=location)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        try:
            for batch in read_documents(self._reader, (), 0, 1, on_drop=lambda name, *_: self.dropped.add(name)):
                yield from zip(*(batch.column(name).to_pylist() for name in ("doc_id", "content")), strict=True)
        except UserError as error:  # it speaks of documents: name the field of the spec's Instructions instead
            what = error.what.replace("(for content)", f"(for {self._side})")
            fix = re.sub(r"columns\.content|`content`", f"Instructions.{self._side}", error.fix)
            raise UserError(what, where=error.where, fix=fix) from error


def _matched(instructions: _Column, outputs: _Column) -> Iterator[tuple[str, str]]:
    """The texts of rows that have both. Both columns come in the same order, and name a row that they leave out."""
    left, right = iter(instructions), iter(outputs)
    one, other = next(left, None), next(right, None)
    while one is not None and other is not None:
        if one[0] == other[0]:
            yield one[1], other[1]
            one, other = next(left, None), next(right, None)
        elif one[0] in outputs.dropped:
            one = next(left, None)
        else:
            other = next(right, None)


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
        raise _no_sample(op, skipped)
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


def _no_sample(op: ir.EncodePairs, too_long: int) -> UserError:
    if not too_long:
        return UserError(
            f"source {op.dataset!r} has no instruction pairs",
            fix="choose documents with documented functions, or files",
        )
    return UserError(
        f"no instruction pair of {op.dataset!r} fits {op.max_length} tokens: the prompts of all {too_long} are longer",
        fix="raise max_length or give other pairs",
    )
