"""Decontamination of documents and pairs: what is dropped and why, hits, items, templates, and any number of shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from compiler import ir
from compiler.errors import UserError
from runtime.data.operators.decontaminate import decontaminate, decontaminate_pairs
from runtime.data.operators.instructions import PAIRS_SCHEMA
from runtime.digest import combine, digest_output
from runtime.manifest import _sum
from tests.runtime.data.operators.conftest import Bench, refined, refined_of, rows, selected, selection_of, text

ITEMS = (
    {"id": "own/1", "text": "Write a function to add all even numbers of a list", "name": "add_even"},
    {"id": "own/2", "text": "Write a function to reverse the words of a sentence", "name": "reverse_words"},
    {"id": "own/3", "text": "Write a function to find primes", "name": "primes"},
)
DOCUMENTS = {
    "a": "def add_even(xs): ...",
    "b": "# reverse the words of a\n# sentence",
    "c": "# write a function to do something else",
    "d": "x = 1",
    "e": "# a function to add all even numbers of a list\ndef add_even(xs): ...\ndef reverse_words(s): ...",
}
OUTPUTS = ("dropped", "hits", "items", "templates")


def operator(bench: Bench, kind: type = ir.Decontaminate, **changes: Any) -> Any:
    """Looks for 5-grams of ITEMS; what two items share is a template."""
    benchmark = ir.TestSet(
        name="own",
        format="jsonl",
        item="id",
        texts=("text",),
        entry_point="name",
        location=bench.json_lines(ITEMS),
    )
    step = {"step": "clean"} if kind is ir.Decontaminate else {}
    return kind(**{"benchmarks": (benchmark,), "ngram": 5, "template_items": 2, **step, **changes})


def documents(names: str = "abcde", **more: Any) -> list[dict[str, Any]]:
    return [refined(name, DOCUMENTS[name], **more) for name in names]


def test_documents(bench: Bench) -> None:
    """Entry points first, then shared n-grams; each with what it hit."""
    found = refined_of(bench, documents(), files=2)
    artifact = bench.run(decontaminate, operator(bench), documents=[found])
    assert selected(found, artifact) == ["c", "d"]
    assert text(artifact, "dropped") == (
        "a | clean | entry_point | 1.0 | 1.0 | None\n"
        "b | clean | shared_ngram | 2.0 | 1.0 | None\n"
        "e | clean | entry_point | 1.0 | 1.0 | None\n"
    )
    assert text(artifact, "hits") == (
        "a | own | own/1 | entry_point | add_even | 4 | 1\n"
        "b | own | own/2 | ngram | reverse the words of a | 2 | 2\n"
        "e | own | own/1 | entry_point | add_even | 51 | 1\n"
        "e | own | own/1 | ngram | a function to add all | 2 | 6\n"
        "e | own | own/2 | entry_point | reverse_words | 73 | 1\n"
    )
    assert text(artifact, "items") == (
        "own | own/1 | 7 | 7 | add_even\nown | own/2 | 6 | 6 | reverse_words\nown | own/3 | 2 | 2 | None\n"
    )
    assert text(artifact, "templates") == "own | entry_point | primes | 1 | short_name\n"


def test_what_items_share_is_listed(bench: Bench) -> None:
    op = operator(bench, ngram=4)
    artifact = bench.run(decontaminate, op, documents=[refined_of(bench, documents("c"))])
    assert "own | ngram | write a function to | 3 | template\n" in text(artifact, "templates")
    assert rows(artifact, "dropped") == []
    everything = attrs.evolve(op, template_items=0)
    assert (
        len(rows(bench.run(decontaminate, everything, documents=[refined_of(bench, documents("c"))]), "dropped")) == 1
    )


def test_counts(bench: Bench) -> None:
    """In is kept and dropped; by test set its items, those looked for, and documents by item."""
    stats = bench.run(decontaminate, operator(bench), documents=[refined_of(bench, documents())]).manifest["stats"]
    assert (stats["in"], stats["kept"], stats["dropped"]) == (5, 2, {"entry_point": 2, "shared_ngram": 1})
    assert stats["languages"] == {"python": 2}
    assert stats["benchmarks"] == {
        "own": {"documents": 3, "by_item": {"own/1": 2, "own/2": 2}, "items": 3, "looked_for": 3, "templates": 1}
    }


def test_only_selected_documents_and_held_out_ones_stay(bench: Bench) -> None:
    """A selection before is respected; nothing is trained on what is held out."""
    found = refined_of(bench, [*documents("abc"), refined("held", DOCUMENTS["a"], held_out=True)])
    before = selection_of(bench, found, "b", "c", "held")
    artifact = bench.run(decontaminate, operator(bench), documents=[found], selection=[before])
    assert selected(found, artifact) == ["c", "held"]
    assert artifact.manifest["stats"]["in"] == 3


@pytest.mark.parametrize("shards", [2, 3, 7])
def test_shards_do_not_matter(bench: Bench, shards: int) -> None:
    """The same rows in every output, and counts that add up."""
    found = refined_of(bench, documents(), files=2)
    op = operator(bench)
    one = bench.run(decontaminate, op, documents=[found])
    many = bench.run(decontaminate, op, shards, documents=[found])
    assert selected(found, many) == selected(found, one)
    for output in OUTPUTS:
        assert text(many, output) == text(one, output)
        parts = [combine([digest_output(artifact.path / output, "table")])["digest"] for artifact in (one, many)]
        assert parts[0] == parts[1]
    assert _sum(many.manifest["stats"]) == one.manifest["stats"]


def test_pairs(bench: Bench) -> None:
    """Instruction and answer are one text, also where a phrase begins in one and ends in the other."""
    pairs = [
        {"pair_id": "p#1", "language": "python", "instruction": "Reverse the words", "output": "of a sentence"},
        {"pair_id": "p#2", "language": None, "instruction": "Add them", "output": "def add_even(xs): ..."},
        {"pair_id": "p#3", "language": None, "instruction": "Say x", "output": "x"},
    ]
    found = bench.table("pairs", pairs, PAIRS_SCHEMA, files=2)
    op = operator(bench, ir.DecontaminatePairs)
    artifact = bench.run(decontaminate_pairs, op, pairs=[found])
    assert rows(artifact, "pairs") == [pairs[2]]
    assert text(artifact, "dropped", "doc_id", "step", "rule") == (
        "p#1 | decontaminate | shared_ngram\np#2 | decontaminate | entry_point\n"
    )
    assert text(artifact, "hits", "doc_id", "item", "matched") == (
        "p#1 | own/2 | reverse the words of a\np#2 | own/1 | add_even\n"
    )
    stats = artifact.manifest["stats"]
    assert (stats["in"], stats["kept"], stats["pairs"]) == (3, 1, 1)
    split = bench.run(decontaminate_pairs, op, 3, pairs=[found])
    assert text(split, "pairs") == text(artifact, "pairs")
    assert _sum(split.manifest["stats"]) == stats


def test_several_test_sets(bench: Bench, tmp_path: Path) -> None:
    """Each counts the documents dropped because of it; one may count for several."""
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"id": 1, "text": "def reverse_words(s): return it all"}))
    first = operator(bench)
    more = ir.TestSet(name="other", format="jsonl", item="id", texts=("text",), location=str(other))
    op = attrs.evolve(first, benchmarks=(*first.benchmarks, more), ngram=3)
    stats = bench.run(decontaminate, op, documents=[refined_of(bench, documents("e"))]).manifest["stats"]
    assert {name: counts["documents"] for name, counts in stats["benchmarks"].items()} == {"other": 1, "own": 1}
    assert stats["dropped"] == {"entry_point": 1}


def test_a_test_set_that_is_gone(bench: Bench) -> None:
    op = operator(bench)
    Path(op.benchmarks[0].location).unlink()
    with pytest.raises(UserError, match="no files found"):
        bench.run(decontaminate, op, documents=[refined_of(bench, documents())])
