"""Documents of several readers: what is fetched, what lies in files, and what is dropped on the way."""

from __future__ import annotations

from typing import Any

from compiler import ir
from runtime.data.funnel import Funnel
from runtime.data.operators.reading import documents
from tests.runtime.data.operators.conftest import Bench, document, documents_of

FETCHED = ir.Reader(source="fetched", format="documents")
LINES = ir.Reader(source="lines", format="jsonl", location="lines.jsonl")
OP = ir.Sign(dataset="d", readers=(FETCHED, LINES))


def prepare(bench: Bench) -> dict[str, Any]:
    """Three fetched documents, and a file beside the spec with three rows, one of them broken."""
    rows = '{"content": "a", "repo": "r", "path": "1.py"}\n{"content": "b\\u0000"}\n{"content": "c", "path": "2.py"}\n'
    (bench.root / "lines.jsonl").write_text(rows)
    return {"fetched__fetched": [documents_of(bench, [document(f"f/{n}", "x") for n in range(3)], files=2)]}


def ids(bench: Bench, shard: int, shards: int, inputs: dict[str, Any], funnel: Funnel | None = None) -> list[str]:
    """Ids of one shard."""
    ctx = bench.context(OP, shard, shards, **inputs)
    return [doc_id for batch in documents(OP.readers, ctx, funnel) for doc_id in batch.column("doc_id").to_pylist()]


def test_readers_come_one_after_the_other(bench: Bench) -> None:
    """Locations are relative to the spec; without a funnel, what is broken is passed over."""
    inputs = prepare(bench)
    assert ids(bench, 0, 1, inputs) == ["f/0", "f/2", "f/1", "lines/r/1.py", "lines//2.py"]


def test_shards_share_the_documents(bench: Bench) -> None:
    """Each once."""
    inputs = prepare(bench)
    found = [doc_id for shard in range(3) for doc_id in ids(bench, shard, 3, inputs)]
    assert sorted(found) == sorted(ids(bench, 0, 1, inputs))


def test_broken_documents_are_counted(bench: Bench) -> None:
    """With the rule and the position."""
    inputs = prepare(bench)
    with Funnel(bench.root / "dropped", "admit") as funnel:
        ids(bench, 0, 1, inputs, funnel)
    assert funnel.stats()["dropped"] == {"nul_bytes": 1}
