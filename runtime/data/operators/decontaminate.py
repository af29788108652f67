"""Decontamination of documents and of instruction pairs: what shares words or names with a benchmark is dropped.

Beside what is left and what is dropped it writes `hits` (one row per document and item), `items` (what was looked for)
and `templates` (what was found in items but is no evidence).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from compiler import ir
from compiler.metadata import locate
from runtime.data.contamination.evidence import Evidence, Policy, gather_evidence
from runtime.data.contamination.items import read_items
from runtime.data.contamination.search import Hit, Searcher
from runtime.data.funnel import Funnel
from runtime.data.operators.instructions import PAIRS_SCHEMA
from runtime.data.refined import SELECTION_SCHEMA, Selection, read_refined
from runtime.data.tables import TableWriter, schema_of
from runtime.task import TaskContext

HIT_SCHEMA = schema_of(
    {
        "doc_id": pa.string(),
        "benchmark": pa.string(),
        "item": pa.string(),
        "kind": pa.string(),
        "matched": pa.string(),
        "offset": pa.int64(),
        "places": pa.int64(),
    }
)
"""A document and an item that it shares with: the first phrase or name, its first byte, and at how many places any."""

ITEM_SCHEMA = schema_of(
    {
        "benchmark": pa.string(),
        "item": pa.string(),
        "ngrams": pa.int64(),
        "evidence": pa.int64(),
        "entry_point": pa.string(),
    }
)
"""An item: its n-grams, how many of them are evidence, and the name that is looked for, null where none is."""

TEMPLATE_SCHEMA = schema_of(
    {
        "benchmark": pa.string(),
        "kind": pa.string(),
        "phrase": pa.string(),
        "items": pa.int64(),
        "reason": pa.string(),
    }
)
"""A phrase or name that is no evidence, how many items hold it, and why."""


def decontaminate(op: ir.Decontaminate, ctx: TaskContext) -> None:
    """The selected documents of this shard that share nothing. Held-out ones stay: nothing is trained on them."""
    selection = Selection(ctx.files("selection", "selection"))
    columns = ("position", "doc_id", "language", "bytes", "held_out", "content")
    with _Verdicts(op, ctx, op.step) as verdicts, TableWriter(ctx.output("selection"), SELECTION_SCHEMA) as writer:
        for batch in read_refined(ctx.files("documents", "documents"), ctx.shard, ctx.shards, columns):
            chosen = batch.take(selection.indices(batch))
            texts = pc.if_else(chosen.column("held_out"), pa.scalar("", pa.large_string()), chosen.column("content"))
            writer.write(chosen.take(verdicts.kept(chosen.column("doc_id"), texts, chosen)))
            ctx.progress(verdicts.seen, 0, "documents")


def decontaminate_pairs(op: ir.DecontaminatePairs, ctx: TaskContext) -> None:
    """The pairs of this shard that share nothing, with their instruction and answer read as one text."""
    with _Verdicts(op, ctx, "decontaminate") as verdicts, TableWriter(ctx.output("pairs"), PAIRS_SCHEMA) as writer:
        for batch in read_refined(ctx.files("pairs", "pairs"), ctx.shard, ctx.shards, PAIRS_SCHEMA.names):
            sides: Any = [pc.cast(batch.column(name), pa.large_string()) for name in ("instruction", "output")]
            texts: Any = pc.binary_join_element_wise(*sides, pa.scalar("\n", pa.large_string()))
            writer.write(batch.take(verdicts.kept(batch.column("pair_id"), texts, batch)))
            ctx.progress(verdicts.seen, 0, "pairs")
    ctx.stats["pairs"] = writer.rows


class _Verdicts:
    """Judges batches of texts, writes hits and drops, and counts. The first shard writes what all would write alike."""

    def __init__(self, policy: Policy, ctx: TaskContext, step: str) -> None:
        items = [item for one in policy.benchmarks for item in read_items(one, locate(one.location, ctx.base))]
        self._evidence = gather_evidence(items, policy)
        self._searcher = Searcher(self._evidence, policy)
        self._funnel = Funnel(ctx.output("dropped"), step)
        self._hits = TableWriter(ctx.output("hits"), HIT_SCHEMA)
        self._documents: dict[str, Counter[str]] = {one.name: Counter() for one in policy.benchmarks}
        self._dropped: Counter[str] = Counter()
        self._ctx = ctx
        self._stack = ExitStack()

    @property
    def seen(self) -> int:
        """Documents judged so far."""
        return int(self._funnel.stats()["in"])

    def __enter__(self) -> _Verdicts:
        self._stack.enter_context(self._funnel)
        self._stack.enter_context(self._hits)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._stack.__exit__(kind, error, trace)
        if kind is not None:
            return
        first = self._ctx.shard == 0
        _write(self._ctx, "items", ITEM_SCHEMA, item_rows(self._evidence) if first else ())
        _write(self._ctx, "templates", TEMPLATE_SCHEMA, template_rows(self._evidence) if first else ())
        self._ctx.stats.update(self._funnel.stats(), benchmarks=dict(self._counts(first)))

    def kept(self, names: Any, texts: Any, batch: pa.RecordBatch) -> pa.Array[Any]:
        """The indices of the texts that share nothing; `batch` has their languages and, if known, their sizes."""
        found = self._searcher.search(texts)
        rows: list[dict[str, Any]] = []
        left = []
        languages = batch.column("language").to_pylist()
        sizes = batch.column("bytes") if "bytes" in batch.schema.names else pc.binary_length(texts)
        for index, size in enumerate(sizes.to_pylist()):
            hits = found.get(index)
            if hits:
                rows += self._drop(str(names[index]), hits)
            else:
                self._funnel.keep(languages[index], size)
                left.append(index)
        self._hits.write_rows(rows)
        return pa.array(left, pa.int64())

    def _drop(self, doc_id: str, hits: Sequence[Hit]) -> Iterator[dict[str, Any]]:
        """Count a document and give its rows; entry points come first, as in the paper."""
        rule = "entry_point" if hits[0].kind == "entry_point" else "shared_ngram"
        most = max(hit.places for hit in hits if hit.kind == hits[0].kind)
        self._funnel.drop(doc_id, rule, float(most), 1.0)
        items = {self._evidence.items[hit.item] for hit in hits}
        self._dropped.update({item.benchmark for item in items})
        for item in items:
            self._documents[item.benchmark][item.name] += 1
        for hit in hits:
            item = self._evidence.items[hit.item]
            yield {
                "doc_id": doc_id,
                "benchmark": item.benchmark,
                "item": item.name,
                "kind": hit.kind,
                "matched": hit.matched,
                "offset": hit.offset,
                "places": hit.places,
            }

    def _counts(self, first: bool) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """By test set: documents dropped for it, documents by item hit, and, once for all shards, what it holds."""
        for name, documents in self._documents.items():
            own = [index for index, item in enumerate(self._evidence.items) if item.benchmark == name]
            yield (
                name,
                {
                    "documents": self._dropped[name],
                    "by_item": dict(documents),
                    "items": len(own) if first else 0,
                    "looked_for": sum(map(self._evidence.is_looked_for, own)) if first else 0,
                    "templates": sum(one.benchmark == name for one in self._evidence.excused) if first else 0,
                },
            )


def item_rows(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """The rows of ITEM_SCHEMA."""
    for index, item in enumerate(evidence.items):
        looked_for = index in evidence.names.get(item.entry_point, ())
        yield {
            "benchmark": item.benchmark,
            "item": item.name,
            "ngrams": evidence.ngrams[index],
            "evidence": evidence.counted[index],
            "entry_point": item.entry_point if looked_for else None,
        }


def template_rows(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """The rows of TEMPLATE_SCHEMA, those of the most items first."""
    for one in evidence.excused:
        yield {
            "benchmark": one.benchmark,
            "kind": one.kind,
            "phrase": one.phrase,
            "items": one.items,
            "reason": one.reason,
        }


def _write(ctx: TaskContext, output: str, schema: pa.Schema, rows: Any) -> None:
    with TableWriter(ctx.output(output), schema) as writer:
        writer.write_rows(list(rows))
