"""Downsampling and keywords: ids only, and the next selection starts from the one before."""

from __future__ import annotations

from compiler import ir
from runtime.data.operators.selections import downsample, select
from tests.runtime.data.operators.conftest import Bench, refined, refined_of, rows, selected, selection_of, text


def test_a_capped_language_keeps_documents_up_to_its_bytes(bench: Bench) -> None:
    """In a seeded order; the running sum stands beside each dropped one; other languages are left alone."""
    found = [refined(f"r/{n}.py", "x" * 10) for n in range(6)] + [refined("r/a.rs", "y" * 99, language="rust")]
    op = ir.Downsample(step="downsample", caps=(("python", 35),), seed=1)
    documents = refined_of(bench, found, files=3)
    artifact = bench.run(downsample, op, documents=[documents])
    kept = selected(documents, artifact)
    dropped = rows(artifact, "dropped")
    assert len(kept) == 4 and "r/a.rs" in kept
    assert sorted(kept + [row["doc_id"] for row in dropped]) == sorted(row["doc_id"] for row in found)
    assert sorted(row["value"] for row in dropped) == [40.0, 50.0, 60.0]
    assert {(row["step"], row["rule"], row["threshold"]) for row in dropped} == {("downsample", "language_cap", 35.0)}
    assert artifact.manifest["stats"] == {
        "in": 7,
        "kept": 4,
        "dropped": {"language_cap": 3},
        "languages": {"python": 3, "rust": 1},
    }
    turned = refined_of(bench, found[::-1])
    assert selected(turned, bench.run(downsample, op, documents=[turned])) == kept
    other = ir.Downsample(step="downsample", caps=(("python", 35),), seed=2)
    assert selected(documents, bench.run(downsample, other, documents=[documents])) != kept


def test_held_out_documents_stay_and_do_not_count(bench: Bench) -> None:
    """They are measured on, not trained on."""
    found = [refined(f"r/{n}.py", "x" * 10, held_out=n < 2) for n in range(4)]
    op = ir.Downsample(step="downsample", caps=(("python", 20),))
    documents = refined_of(bench, found)
    artifact = bench.run(downsample, op, documents=[documents])
    assert artifact.manifest["stats"] == {"in": 4, "kept": 4, "dropped": {}, "languages": {"python": 4}}
    none = ir.Downsample(step="downsample", caps=(("python", 0),))
    assert selected(documents, bench.run(downsample, none, documents=[documents])) == ["r/0.py", "r/1.py"]


def test_documents_with_a_keyword(bench: Bench) -> None:
    """In any case, anywhere in the text; what holds no keyword is dropped, what was not selected does not count."""
    texts = {"a": "a HEAP of", "b": "nothing", "c": "binary_heap", "d": "it's 100%", "e": "heap"}
    found = [refined(f"r/{name}", content) for name, content in texts.items()]
    documents = refined_of(bench, found)
    before = selection_of(bench, documents, *(f"r/{name}" for name in "abcd"))
    op = ir.Select(step="keywords", keywords=("Heap", "it's 100%"))
    artifact = bench.run(select, op, documents=[documents], selection=[before])
    assert selected(documents, artifact) == ["r/a", "r/c", "r/d"]
    assert text(artifact, "dropped") == "r/b | keywords | no_keyword | None | None | None\n"
    assert artifact.manifest["stats"] == {
        "in": 4,
        "kept": 3,
        "dropped": {"no_keyword": 1},
        "languages": {"python": 3},
    }
    everything = bench.run(select, op, documents=[documents])
    assert selected(documents, everything) == ["r/a", "r/c", "r/d", "r/e"]
