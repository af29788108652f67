"""What a text on a command line means, by the type of the field that it is for."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.literals import fitting, readings, split
from ocspec import WSD, Admit, Batches, Cosine, Dataset, Filter, HoldOut, Part
from tests.ocspec.variants import whole

STAGE = whole().curriculum.stages[0]


@pytest.mark.parametrize(
    ("text", "holder", "field", "value"),
    [
        ("3e-4", STAGE.schedule, "peak", 3e-4),
        ("1", STAGE.schedule, "peak", 1.0),
        ("1e4", STAGE.schedule, "warmup_steps", 10_000),
        ("2_000", STAGE.schedule, "warmup_steps", 2000),
        ("bf16", STAGE, "precision", "bf16"),
        ("'bf16'", STAGE, "precision", "bf16"),
        ("5", STAGE, "note", "5"),
        ("None", STAGE, "note", "None"),
        ("a, b = c", STAGE, "note", "a, b = c"),
        ("", STAGE, "note", ""),
        ("None", whole(), "hold_out", None),
        ("4", whole(), "shards", 4),
        ("True", Filter(), "seed", True),
        ("0.5", Part(dataset="a", weight=1), "weight", 0.5),
        ("3", Part(dataset="a", weight=1), "weight", 3),
        ("1/3", Part(dataset="a", weight=1), "weight", Fraction(1, 3)),
        ('("a", "b")', Admit(), "languages", ("a", "b")),
        ('["a", "b"]', Admit(), "languages", ("a", "b")),
        ('"a", "b"', Admit(), "languages", ("a", "b")),
        ("None", Dataset(name="x"), "base", None),
        ("code", Dataset(name="x"), "base", "code"),
        ("Cosine(peak=1e-3, warmup_steps=2)", STAGE, "schedule", Cosine(peak=1e-3, warmup_steps=2)),
        (
            "(Batches(steps=1, global_batch=2, sequence_length=3),)",
            STAGE,
            "batches",
            (Batches(steps=1, global_batch=2, sequence_length=3),),
        ),
        ("HoldOut(repositories=('a@*',))", whole(), "hold_out", HoldOut(repositories=("a@*",))),
        ("HoldOut(repositories=['a@*'])", whole(), "hold_out", HoldOut(repositories=("a@*",))),
        ("WSD(peak=1, warmup_steps=2e3)", STAGE, "schedule", WSD(peak=1.0, warmup_steps=2000)),
        ("WSD(peak=1, warmup=2)", STAGE, "note", "WSD(peak=1, warmup=2)"),
    ],
)
def test_the_type_of_the_field_says_what_a_text_means(text: str, holder: Any, field: str, value: Any) -> None:
    found = fitting(text, holder, field)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text", ["fast", "__import__('os').system('x')", "WSD", "WSD(1)", "open('x')", "[x for x in y]"]
)
def test_nothing_is_evaluated(text: str) -> None:
    """What is no literal is a word."""
    assert fitting(text, STAGE.schedule, "peak") == text


def test_what_is_no_object_of_the_language_is_a_word() -> None:
    assert fitting("Adam(beta=1)", STAGE, "optimizer") == "Adam(beta=1)"
    assert fitting("Pretrain.__init__()", STAGE, "optimizer") == "Pretrain.__init__()"


def test_an_object_that_does_not_hold_says_why() -> None:
    """In its own words, also where it stands in another."""
    with pytest.raises(LookupError, match=r"WSD.warmup: no such field; fix: did you mean 'warmup_steps'\?"):
        fitting("WSD(peak=1e-3, warmup=2)", STAGE, "schedule")
    with pytest.raises(LookupError, match=r"Batches.steps: should be .* \(got 'few'\)"):
        fitting("(Batches(steps='few', global_batch=2, sequence_length=3),)", STAGE, "batches")


@pytest.mark.parametrize("text", ["1/0", "None/2", "1/'a'", "[1/0]"])
def test_what_divides_by_nothing_is_a_word(text: str) -> None:
    assert fitting(text, whole().model, "num_layers") == text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        st.tuples,
    )
)
def test_the_plainest_reading_of_a_written_value_is_the_value(value: Any) -> None:
    assert next(readings(repr(value))) == value


@given(st.text())
def test_any_text_has_a_reading(text: str) -> None:
    assert list(readings(text))


@given(
    st.lists(
        st.one_of(
            st.integers(),
            st.floats(allow_nan=False, allow_infinity=False),
            st.tuples(st.text("ab,'\"")),
            st.text("ab,"),
        ),
        min_size=1,
    )
)
def test_a_list_of_written_values_is_split_between_them(values: list[Any]) -> None:
    found = split(",".join(map(repr, values)))
    assert [next(readings(text)) for text in found] == values


def test_whole_numbers_are_not_made_of_others() -> None:
    assert fitting("1.5", STAGE.schedule, "warmup_steps") == 1.5
    assert fitting("inf", STAGE.schedule, "peak") == "inf"
