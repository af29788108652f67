"""refine: the second and last read of the content. Survivors only: redact, measure, judge, write once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from compiler import ir
from compiler.errors import UserError
from runtime.data import duck
from runtime.data.expressions import Expressions, Subject
from runtime.data.funnel import Funnel
from runtime.data.histograms import Histograms
from runtime.data.languages import doc_type
from runtime.data.operators.reading import documents
from runtime.data.operators.verdicts import kept_files, refuse_double_ids
from runtime.data.redact import redact
from runtime.data.refined import REFINED_SCHEMA, Verdicts
from runtime.data.signals import SignalValues, first_failing
from runtime.data.tables import TableWriter, column_names
from runtime.data.texts import digests_of
from runtime.data.treesitter.isolated import parser_process
from runtime.task import TaskContext

Failing = tuple[str, float | None, float | None]  # rule, value, threshold
VERDICT = ("language", "held_out", "sha256", "parts")
PARSER_FAILED = "parser_failed"
"""Drops a document of which the parser dies; there is no switch for it, and no rule of the catalogue has its name."""


def refine(op: ir.Refine, ctx: TaskContext) -> None:
    """Clean documents of this shard, and those that a rule dropped."""
    files = _kept_files(ctx)
    survivors = Verdicts(files, [name for name in VERDICT if name in column_names(files)])
    judge = Judge(op)
    with (
        Funnel(ctx.output("dropped"), "filter") as funnel,
        TableWriter(ctx.output("documents"), REFINED_SCHEMA) as writer,
        Expressions(op.expressions) as expressions,
        parser_process(),
    ):
        for batch in documents(op.readers, ctx, None):
            indices, verdicts = survivors.of(batch.column("position").to_numpy())
            left = batch.take(pa.array(indices, pa.int64()))
            _refuse_changed(left, verdicts)
            rows = zip(left.to_pylist(), verdicts.drop_columns("sha256").to_pylist(), strict=True)
            kept = []
            for row, failing in judge.batch((what_is_left(row | verdict) for row, verdict in rows), expressions):
                if failing:
                    funnel.drop(row["doc_id"], *failing)
                else:
                    funnel.keep(row["language"], row["bytes"])
                    kept.append(row)
            writer.write_rows(kept)
            ctx.progress(writer.rows, 0, "documents")
    ctx.stats.update(funnel.stats(), redactions=dict(judge.redactions), signals=judge.histograms.stats())


def _refuse_changed(documents: pa.RecordBatch, verdicts: pa.Table) -> None:
    """A file that was changed, added or removed since sign read the source would be judged in another's place."""
    now, then = digests_of(documents.column("content")), verdicts.column("sha256").to_pylist()
    changed = [row for row, (one, other) in enumerate(zip(now, then, strict=True)) if one != other]
    if changed:
        name = documents.column("doc_id")[changed[0]].as_py()
        raise UserError(
            f"the source changed since it was signed: at the place of {name!r} stood another text",
            fix="compile and submit again, once nobody writes to the source",
        )


def what_is_left(row: dict[str, Any]) -> dict[str, Any]:
    """The document without the chunks that were dropped: its `parts`, start and stop in bytes of each, end to end.

    Parts stop where a line ends or a word starts, so what is left is UTF-8 again.
    """
    parts = row.pop("parts", None)
    if parts is None:
        return row
    data = row["content"].encode()
    left = b"".join(data[start:stop] for start, stop in zip(parts[::2], parts[1::2], strict=True))
    return {**row, "content": left.decode()}


class Judge:
    """Redacts and judges documents, and counts what it redacted and which values it saw."""

    def __init__(self, op: ir.Refine) -> None:
        self._op = op
        self.redactions: Counter[str] = Counter()
        self.histograms = Histograms()

    def batch(
        self, rows: Iterable[dict[str, Any]], expressions: Expressions
    ) -> list[tuple[dict[str, Any], Failing | None]]:
        """Each document, redacted, with the rule that drops it, if any; rules in SQL look at the whole batch."""
        judged, subjects = [], []
        for row in rows:
            clean, failing, subject = self._one(row, expressions)
            judged.append((clean, failing))
            subjects.append(subject)
        pending = [index for index, (_, failing) in enumerate(judged) if failing is None]
        for index, name in zip(pending, expressions.failing([subjects[index] for index in pending]), strict=True):
            if name is not None:
                judged[index] = judged[index][0], (name, None, None)
        return judged

    def _one(self, row: dict[str, Any], expressions: Expressions) -> tuple[dict[str, Any], Failing | None, Subject]:
        """One document: redacted, the rule of the catalogue that drops it, and what rules in SQL may ask of it."""
        language, op = row["language"], self._op
        kind = doc_type(language) if language else "text"
        redacted = redact(row["content"], language, copyright=op.redact_copyright, pii=op.redact_pii)
        self.redactions.update(redacted.counts)
        clean = {**row, "content": redacted.text, "bytes": len(redacted.text.encode())}
        values = SignalValues(redacted.text, language, kind, row["path"])  # lazy: what is dropped early is not parsed
        natural = values.natural_language if kind == "text" else "en"
        failing: Failing | None = first_failing(op.rules, values, language, kind, row["doc_id"], natural)
        asked = {} if failing else {name: values[name] for name in expressions.signals(language, kind)}
        if values.parser_failed:
            failing = (PARSER_FAILED, None, None)
        self.histograms.add(kind, values.looked_up)
        return clean, failing, Subject(language=language, doc_type=kind, values={**clean, "doc_type": kind, **asked})


def _kept_files(ctx: TaskContext) -> list[Path]:
    """The verdict of the steps before; where there were none, the first shard looks for ids that occur twice."""
    files = kept_files(ctx)
    if ctx.shard == 0 and not ctx.input("kept").files("kept"):
        with duck.session(ctx, keys=files) as connection:
            refuse_double_ids(connection)
    return files
