"""Tests of the refinement steps: their checks and the collision threshold."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.banding import Banding, banding
from ocspec.base import SpecError
from ocspec.refinement import (
    GB,
    Admit,
    Decontaminate,
    Deduplicate,
    Downsample,
    Filter,
    MinHash,
    Redact,
    Rule,
    SelectKeywords,
    Step,
    exact_share,
)
from ocspec.testsets import TestSet


def test_defaults_are_those_of_the_paper() -> None:
    """OpenCoder 2.1 and 4.3."""
    assert Admit().max_bytes == 8_000_000
    near = Deduplicate().near
    assert near is not None
    assert (banding(near), near.ngram, near.unit) == (Banding(16, 128), 5, "word")
    assert Deduplicate().exact
    assert Deduplicate().granularity == "file"
    assert Deduplicate().chunk_tokens == 4096
    assert Decontaminate(benchmarks=(TestSet.humaneval("items.jsonl"),)).ngram == 10
    assert Redact() == Redact(copyright=True, pii=True)
    assert Filter().catalogue == "opencoder"


def test_bands_and_rows_are_not_to_be_swapped() -> None:
    """The same 2048 permutations, another meaning."""
    assert banding(MinHash(bands=16, rows=128)).threshold == pytest.approx(0.979, abs=5e-4)
    assert banding(MinHash(bands=128, rows=16)).threshold == pytest.approx(0.738, abs=5e-4)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"threshold": 0.9, "bands": 16}, "threshold=0.9 chooses bands and rows, but bands=16 is given too"),
        (
            {"threshold": 0.9, "bands": 16, "rows": 8, "permutations": 128},
            "threshold=0.9 chooses bands and rows, but bands=16 and rows=8 is given too",
        ),
        ({"permutations": 64}, "permutations=64 without a threshold"),
        ({"bands": 4, "rows": 4, "permutations": 16}, "permutations=16 without a threshold"),
    ],
)
def test_bands_and_rows_or_a_threshold_but_not_both(given: dict[str, float], what: str) -> None:
    """The message says which are at odds, and the fix which to give."""
    with pytest.raises(SpecError) as caught:
        MinHash(**given)
    (problem,) = caught.value.problems
    assert problem.what == what
    assert problem.fix.startswith("give ")


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.5, 85.0])
def test_a_threshold_lies_between_nothing_and_all(threshold: float) -> None:
    """A percentage is a mistake."""
    with pytest.raises(SpecError, match=r"MinHash\.threshold"):
        MinHash(threshold=threshold)


def test_deduplication_must_look_for_something() -> None:
    """Neither exact nor near is a mistake, and says how to mend it."""
    with pytest.raises(SpecError) as caught:
        Deduplicate(exact=False, near=None)
    (problem,) = caught.value.problems
    assert problem.what.startswith("neither exact nor near")
    assert problem.fix == "set exact=True or near=MinHash(...)"


def test_a_cap_may_be_nothing_but_not_less() -> None:
    """0 drops a language."""
    assert Downsample(caps={"html": 0, "java": 200 * GB}).caps["java"] == 200_000_000_000
    with pytest.raises(SpecError, match="html has a cap of -1 bytes"):
        Downsample(caps={"html": -1})
    with pytest.raises(SpecError, match=r"Downsample\.caps"):
        Downsample(caps={})


def test_equal_caps_in_any_order_are_equal() -> None:
    """Also as members of a set."""
    one, other = Downsample(caps={"a": 1, "b": 2}), Downsample(caps={"b": 2, "a": 1})
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize("make", [SelectKeywords, lambda: Decontaminate(benchmarks=()), Downsample])
def test_steps_that_would_do_nothing_are_refused(make: object) -> None:
    """Each needs at least one of what it looks for."""
    with pytest.raises(SpecError):
        make()  # type: ignore[operator]


def test_test_sets_that_fingerprints_could_not_tell_apart_are_refused() -> None:
    """One has the name that the other's table of hits goes by."""
    with pytest.raises(SpecError, match=r"two were called mbpp .*\n  fix: give aka to the one that goes on"):
        Decontaminate(benchmarks=(TestSet.mbpp("a.jsonl"), TestSet.humaneval("b.jsonl", aka="mbpp")))


def test_a_rule_compares_a_signal_with_a_threshold() -> None:
    """With one of three comparisons."""
    rule = Rule(name="long lines", signal="num_chars_line_max", comparison=">", threshold=1000)
    assert rule.key == "long lines"
    assert rule.threshold == 1000.0
    with pytest.raises(SpecError, match=r"Rule\.comparison"):
        Rule(name="long lines", signal="num_chars_line_max", comparison=">=", threshold=1000)


def test_a_rule_is_a_comparison_or_a_condition_in_sql() -> None:
    """Never both, and no half of one."""
    assert Rule(name="dense", where="num_lines < 20").signal == ""
    with pytest.raises(SpecError, match="both `where` and a signal\n  fix: give `where` alone"):
        Rule(name="dense", where="num_lines < 20", threshold=3)
    with pytest.raises(SpecError, match="neither `where` nor a whole comparison\n  fix: give signal, comparison and"):
        Rule(name="dense", signal="num_lines", comparison="<")
    with pytest.raises(SpecError, match="neither `where` nor a whole comparison"):
        Rule(name="dense")


def test_a_step_is_one_of_the_steps() -> None:
    """The base class says which there are."""
    with pytest.raises(SpecError, match="Admit, Decontaminate, Deduplicate, Downsample, Filter, Redact"):
        Step()


@given(st.decimals(min_value=0, max_value=1000, places=4, allow_nan=False))
@settings(max_examples=50)
def test_a_weight_means_what_was_written(written: object) -> None:
    """83.94 is 8394/100, not the nearest binary fraction."""
    text = str(written)
    assert exact_share(float(text)) == Fraction(text)


def test_integers_and_fractions_are_taken_as_they_are() -> None:
    """And text is read."""
    assert exact_share(84) == 84
    assert exact_share(Fraction(1, 3)) == Fraction(1, 3)
    assert exact_share("83.94") == Fraction(8394, 100)
