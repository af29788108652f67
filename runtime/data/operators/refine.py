"""refine: the second and last read of the content. Survivors only: redact, measure, judge, write once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from compiler import ir
from runtime.data import duck
from runtime.data.funnel import Funnel
from runtime.data.languages import doc_type
from runtime.data.operators.reading import documents
from runtime.data.operators.verdicts import kept_files, refuse_double_ids
from runtime.data.redact import redact
from runtime.data.refined import REFINED_SCHEMA
from runtime.data.signals import SignalValues, first_failing
from runtime.data.tables import TableWriter
from runtime.task import TaskContext

FLUSH_ROWS = 256


def refine(op: ir.Refine, ctx: TaskContext) -> None:
    """Clean documents of this shard, and those that a rule dropped."""
    kept = _kept(ctx)
    redactions: Counter[str] = Counter()
    with (
        Funnel(ctx.output("dropped"), "filter") as funnel,
        TableWriter(ctx.output("documents"), REFINED_SCHEMA) as writer,
    ):
        for batch in documents(op.readers, ctx, None):
            rows = []
            for row in batch.to_pylist():
                verdict = kept.get(row["doc_id"])
                if verdict is not None:
                    clean = _clean(op, {**row, "language": verdict[0], "held_out": verdict[1]}, funnel, redactions)
                    rows += [clean] if clean else []
            writer.write_rows(rows)
            ctx.progress(writer.rows, 0, "documents")
    ctx.stats.update(funnel.stats(), redactions=dict(redactions))


def _clean(op: ir.Refine, row: dict[str, Any], funnel: Funnel, redactions: Counter[str]) -> dict[str, Any] | None:
    """One document, redacted, or None if a rule drops it."""
    language = row["language"]
    kind = doc_type(language) if language else "text"
    redacted = redact(row["content"], language, copyright=op.redact_copyright, pii=op.redact_pii)
    redactions.update(redacted.counts)
    values = SignalValues(redacted.text, language, kind)  # lazy: a document that a cheap rule drops is never parsed
    failing = first_failing(op.rules, values, language, kind)
    if failing:
        rule, value, threshold = failing
        funnel.drop(row["doc_id"], rule, value, threshold)
        return None
    size = len(redacted.text.encode())
    funnel.keep(language, size)
    return {**row, "content": redacted.text, "bytes": size}


def _kept(ctx: TaskContext) -> dict[str, tuple[str | None, bool]]:
    """Language and held-out mark of every survivor by id; a UserError where two have the same id."""
    found: dict[str, tuple[str | None, bool]] = {}
    files, rows = kept_files(ctx), 0
    for path in files:
        table: pa.Table = pq.read_table(path, columns=["doc_id", "language", "held_out"])
        columns = (table.column(name).to_pylist() for name in ("doc_id", "language", "held_out"))
        found.update((doc_id, (language, held_out)) for doc_id, language, held_out in zip(*columns, strict=True))
        rows += table.num_rows
    if len(found) < rows:
        with duck.session(ctx, keys=files) as connection:
            refuse_double_ids(connection)
    return found
