"""Test sets: constructors by benchmark, and what contradicts itself."""

from __future__ import annotations

import pytest

from ocspec.base import SpecError
from ocspec.refinement import Decontaminate
from ocspec.testsets import TestSet


def test_each_benchmark_knows_its_fields() -> None:
    """And takes any field beside the path."""
    assert TestSet.humaneval("a.gz").texts == ("prompt", "canonical_solution")
    mbpp = TestSet.mbpp("b.gz", texts=("prompt", "code"))
    assert (mbpp.texts, mbpp.first, mbpp.last, mbpp.defined_in) == (("prompt", "code"), 11, 510, "code")
    assert (TestSet.multipl_e("c").item, TestSet.multipl_e("c", name="rust").name) == ("name", "rust")
    assert TestSet.mbxp("d", name="mbjp").entry_point == TestSet.bigcodebench("e").entry_point == "entry_point"
    with pytest.raises(SpecError, match="no such field"):
        TestSet.mbpp("b.gz", text=("prompt",))


def test_an_error_names_the_line_of_the_spec_not_of_the_constructor() -> None:
    """Problems are found by file and line."""
    with pytest.raises(SpecError, match=r"test_testsets\.py:\d+: TestSet\.format"):
        TestSet.humaneval("a.csv", format="csv")


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"entry_point": "name", "defined_in": "code"}, "entry_point and defined_in are given"),
        ({"called_in": "tests"}, "called_in stands without defined_in"),
        ({"texts": ()}, r"TestSet\.texts"),
    ],
)
def test_contradictions(fields: dict[str, object], what: str) -> None:
    with pytest.raises(SpecError, match=what):
        TestSet(**{"name": "own", "path": "own.jsonl", "texts": ("text",), **fields})


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"template_items": 1}, "every n-gram stands in one item"),
        ({"stop_phrases": ("a function", "--")}, "the phrase '--' has no word"),
        ({"benchmarks": (TestSet.mbpp("a"), TestSet.mbpp("b"))}, "named twice: mbpp"),
        ({"entry_points": "any"}, r"Decontaminate\.entry_points"),
    ],
)
def test_steps_that_cannot_be_meant(fields: dict[str, object], what: str) -> None:
    with pytest.raises(SpecError, match=what):
        Decontaminate(**{"benchmarks": (TestSet.mbpp("a"),), **fields})
