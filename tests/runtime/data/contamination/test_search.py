"""Documents and items -> hits: fixtures as text, a search by plain Python, and what is evidence of what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import ir
from compiler.errors import UserError
from runtime.data.contamination.evidence import Evidence, gather_evidence
from runtime.data.contamination.items import Item
from runtime.data.contamination.search import Searcher

CASES = (Path(__file__).parents[3] / "fixtures" / "contamination" / "search.txt").read_text().split("==== ")[1:]
POLICY = ir.DecontaminatePairs(benchmarks=(), ngram=8)


def policy(**changes: Any) -> ir.DecontaminatePairs:
    return attrs.evolve(POLICY, **changes)


def item(text: str) -> Item:
    """`BENCHMARK/NUMBER [ENTRY_POINT]: TEXT`, the entry point if it has one."""
    found = re.fullmatch(r"(\w+)/(\S+)(?: \[(\w+)\])?: (.*)", text)
    assert found, text
    return Item(benchmark=found[1], name=f"{found[1]}/{found[2]}", texts=(found[4],), entry_point=found[3] or "")


def items(*texts: str) -> list[Item]:
    return [item(text) for text in texts]


def found(evidence: Evidence, how: ir.DecontaminatePairs, document: str) -> list[str]:
    """The hits of one document, a line each."""
    hits = Searcher(evidence, how).search(pa.array(["", document], pa.large_string())).get(1, [])
    names = [evidence.items[hit.item].name for hit in hits]
    return [
        f"{name} {hit.kind} x{hit.places} at {hit.offset}: {hit.matched}" for name, hit in zip(names, hits, strict=True)
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.partition("\n")[0])
def test_hits(case: str) -> None:
    given_items, document, expected = re.findall(r"^(?:items|document|hits): (.*)$", case, flags=re.MULTILINE)
    evidence = gather_evidence([*items(*given_items.split(" ;; ")), item("other/0: looked for in vain")], POLICY)
    hits = found(evidence, POLICY, document.replace("\\n", "\n"))
    assert "; ".join(hits) == expected.replace("none", "")


# ---------------------------------------------------------------- against plain Python

WORDS = st.lists(st.sampled_from(["a", "b", "c", "1", "2"]), max_size=8).map(" ".join)


@settings(deadline=None, max_examples=150)
@given(st.lists(WORDS, min_size=1, max_size=6), WORDS, st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_it_is_the_definition(texts: list[str], document: str, ngram: int, templates: int, numbers: bool) -> None:
    """An n-gram (a shorter text: all of it) in the document, unless too many items hold it or it is of numbers."""
    templates = 0 if templates == 1 else templates
    how = policy(ngram=ngram, template_items=templates, numbers=numbers, stop_phrases=("b a",))

    def grams(text: str, length: int) -> set[str]:
        cut = text.split()
        return {" ".join(cut[at : at + length]) for at in range(len(cut) - length + 1)}

    own = [grams(text, min(ngram, len(text.split()))) - {""} for text in texts]
    counts = {gram: sum(gram in one for one in own) for gram in set().union(*own)}
    no_template = {gram for gram, count in counts.items() if not 0 < templates <= count}
    evidence = {gram for gram in no_template if (numbers or re.search("[abc]", gram)) and "b a" not in gram}
    evidence -= {"b", "a"}  # they lie within the stop phrase
    in_document = set().union(*(grams(document, length) for length in range(1, ngram + 1)))
    expected = [index for index, one in enumerate(own) if one & evidence & in_document]
    entries = [Item(benchmark="x", name=str(index), texts=(text,)) for index, text in enumerate(texts)]
    entries.append(Item(benchmark="x", name="unlike", texts=("never seen anywhere",)))
    hits = Searcher(gather_evidence(entries, how), how).search(pa.array([document]))
    assert [hit.item for hit in hits.get(0, [])] == expected


@settings(deadline=None, max_examples=50)
@given(st.lists(WORDS, max_size=12), st.integers(0, 12))
def test_batches_do_not_matter(documents: list[str], cut: int) -> None:
    """And no hit spans two documents."""
    how = policy(ngram=3, template_items=0)
    entries = items("x/1: a b c a b 1 2 c", "x/2: c c a b b a 1")
    search = Searcher(gather_evidence(entries, how), how)
    whole = search.search(pa.array(documents, pa.string()))
    first, second = (search.search(pa.array(part, pa.string())) for part in (documents[:cut], documents[cut:]))
    assert whole == {**first, **{index + len(documents[:cut]): hits for index, hits in second.items()}}


def test_a_hash_that_is_equal_by_chance_is_no_hit() -> None:
    """The words are compared: of another phrase under every hash nothing is found."""
    evidence = gather_evidence(items("x/1: one two three"), policy(ngram=3))
    search = Searcher(evidence, POLICY)
    search._evidence = attrs.evolve(evidence, phrases={"one two four": (0,)})
    assert search._scanner.scan(pa.array(["one two three"])).tolist() == [[0, 0, 13]]
    assert search.search(pa.array(["one two three"])) == {}


# ---------------------------------------------------------------- evidence


def test_what_is_no_evidence_is_listed_with_its_reason() -> None:
    """By test set, most items first; the rest is counted by item."""
    how = policy(ngram=3, stop_phrases=("Write a",), entry_point_parts=2)
    entries = items(
        "b/1 [run]: write a program now quickly",
        "b/2 [run]: 1 2 3 apples",
        "b/3 [run]: go now quickly today",
        "b/4 [do_it]: go now quickly again",
        "b/5: go now quickly",
    )
    evidence = gather_evidence(entries, how)
    assert [(one.kind, one.phrase, one.items, one.reason) for one in evidence.excused] == [
        ("entry_point", "run", 3, "short_name"),
        ("ngram", "go now quickly", 3, "template"),
        ("ngram", "1 2 3", 1, "numbers"),
        ("ngram", "write a program", 1, "stop_phrase"),
    ]
    assert (evidence.ngrams, evidence.counted) == ((3, 2, 2, 2, 1), (2, 1, 1, 1, 0))
    assert dict(evidence.names) == {"do_it": (3,)}
    assert [evidence.is_looked_for(index) for index in range(5)] == [True, True, True, True, False]


def test_a_stop_phrase_excuses_what_holds_it_and_what_lies_within_it() -> None:
    """By whole words."""
    entries = items("b/1: please write a function to sort it now", "b/2: overwrite a function to sort it")
    evidence = gather_evidence(entries, policy(ngram=4, stop_phrases=("Write, a", "sort it now or never at all")))
    assert sorted(evidence.phrases) == [
        "a function to sort", "function to sort it", "overwrite a function to", "to sort it now",
    ]  # fmt: skip
    within = gather_evidence(entries, policy(ngram=4, stop_phrases=("so to sort it now or never",)))
    assert "to sort it now" not in within.phrases


@pytest.mark.parametrize(
    ("changes", "document", "hit"),
    [
        ({}, "def is_odd(n):", True),
        ({}, "is_odd(3)", False),
        ({"entry_points": "mentioned"}, "is_odd(3)", True),
        ({"entry_points": "mentioned"}, "this_is_odd(3)", False),
        ({"entry_points": "ignored"}, "def is_odd(n):", False),
        ({"entry_point_parts": 3}, "def is_odd(n):", False),
        ({"entry_point_parts": 1}, "def add(n):", True),
    ],
)
def test_rules_for_entry_points(changes: dict[str, Any], document: str, hit: bool) -> None:
    how = policy(**changes)
    evidence = gather_evidence(items("b/1 [is_odd]: say whether it is odd", "b/2 [add]: add them"), how)
    assert bool(found(evidence, how, document)) == hit


def test_several_places_and_names_that_are_words_of_phrases() -> None:
    """The first place is told, all are counted; a definition after a mere call is found."""
    evidence = gather_evidence(items("b/1 [is_odd]: is_odd"), POLICY)
    assert found(evidence, POLICY, "is_odd(1)\ndef is_odd(n): pass\nis_odd(2)") == [
        "b/1 entry_point x1 at 14: is_odd",
        "b/1 ngram x3 at 0: is_odd",
    ]


def test_a_test_set_of_which_nothing_is_left_is_refused() -> None:
    """Nine languages of one prompt as nine items, say."""
    entries = [*items("a/1: fine as it is"), *(item(f"b/{n}: return the sum of a list") for n in range(9))]
    with pytest.raises(UserError) as error:
        gather_evidence(entries, POLICY)
    assert error.value.what.startswith("nothing of test set 'b' is evidence: all words of its 9 items")
    assert "template_items" in error.value.fix
