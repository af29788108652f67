"""Held-out text for a stage in training: documents as token files, with languages and bytes. Not a measurement.

Written in the data environment, read by `runtime.training.validation` in one without DuckDB, Parquet or tokenizers.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from compiler import ir
from compiler.errors import UserError
from runtime.data import duck
from runtime.data.indexed import IndexedWriter
from runtime.data.operators.tokens import END_OF_TEXT, PREFIX, encoder_of
from runtime.task import TaskContext

LANGUAGES_FILE = "languages.json"


def held_out_text(op: ir.HeldOutText, ctx: TaskContext) -> None:
    """Encode the held-out documents as they are scored: end-of-text around each, in the order of their ids."""
    encoder, out = encoder_of(ctx), ctx.output("held_out")
    end = np.array([encoder.special(END_OF_TEXT)], np.int32)
    about: dict[str, list[Any]] = {"languages": [], "bytes": []}
    total = 0
    with (
        duck.session(ctx, documents=ctx.files("documents", "documents")) as connection,
        IndexedWriter(out / PREFIX, encoder.dtype) as writer,
    ):
        for batch in duck.batches(connection, ctx.sql["held_out"]):
            for row in batch.to_pylist():
                ids = np.concatenate([end, encoder.encode(row["content"]), end])
                writer.add(ids)
                about["languages"].append(row["language"])
                about["bytes"].append(len(row["content"].encode()))
                total += len(ids)
            ctx.progress(total, 0, "tokens")
    if not total:
        raise no_held_out_document()
    (out / LANGUAGES_FILE).write_text(json.dumps(about, sort_keys=True) + "\n")
    ctx.stats.update(documents=len(about["bytes"]), bytes=sum(about["bytes"]), tokens=total)


def no_held_out_document() -> UserError:
    """What is wrong where nothing is left to measure on."""
    return UserError(
        "no held-out document is left to measure on",
        fix="check that hold_out.repositories match, and that the filters keep some of their files",
    )
