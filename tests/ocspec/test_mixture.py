"""Tests of data sets and mixtures: exact weights, and one mixture within another."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocspec.base import SpecError, describe
from ocspec.mixture import Dataset, HoldOut, Mixture, Part
from ocspec.refinement import Admit, Deduplicate, exact_share
from ocspec.sources import Directory


def mixture(*weights: float) -> Mixture:
    return Mixture(parts=tuple(Part(dataset=f"d{i}", weight=weight) for i, weight in enumerate(weights)))


def test_a_data_set_lists_sources_and_steps_in_order() -> None:
    """The order of steps is kept; they are keyed by kind."""
    dataset = Dataset(
        name="code",
        sources=(Directory(name="here", path="."),),
        steps=(Admit(), Deduplicate(), Deduplicate()),
    )
    assert list(describe(dataset)["fields"]["steps"]["keyed"]) == ["admit", "deduplicate", "deduplicate#2"]


def test_steps_are_steps() -> None:
    """A source among the steps is refused where it stands."""
    with pytest.raises(SpecError, match=r"Dataset\.steps\.1"):
        Dataset(name="code", steps=(Admit(), Directory(name="here", path=".")))


def test_a_data_set_stands_once_in_a_mixture() -> None:
    """Two weights would leave open which holds."""
    with pytest.raises(SpecError, match="listed twice: code"):
        Mixture(parts=(Part(dataset="code", weight=1), Part(dataset="code", weight=2)))


def test_parts_are_known_by_their_data_set() -> None:
    """So a changed weight is a change of that part."""
    assert list(describe(mixture(1, 2))["fields"]["parts"]["keyed"]) == ["d0", "d1"]


@pytest.mark.parametrize("weight", [0, -1, float("inf"), float("nan"), "84"])
def test_weights_are_positive_numbers(weight: object) -> None:
    """A part of weight 0 is better left out."""
    with pytest.raises(SpecError, match=r"Part\.weight"):
        Part(dataset="code", weight=weight)


def test_the_total_is_exact() -> None:
    """In floating point 0.1 + 0.2 is not 0.3."""
    assert mixture(0.1, 0.2).total == Fraction(3, 10)


@given(
    st.lists(st.decimals(min_value="0.01", max_value=1000, places=2), min_size=1, max_size=6),
    st.decimals(min_value="0.01", max_value=1000, places=2),
)
@settings(max_examples=50)
def test_a_scaled_mixture_keeps_its_proportions_and_sums_to_its_weight(weights: list[object], total: object) -> None:
    """Exactly, whatever the numbers."""
    inner = mixture(*(float(str(weight)) for weight in weights))
    scaled = Mixture(parts=inner.scaled(float(str(total))))
    assert scaled.total == Fraction(str(total))
    for before, after in zip(inner.parts, scaled.parts, strict=True):
        assert exact_share(after.weight) / scaled.total == exact_share(before.weight) / inner.total


def test_scaling_keeps_names_and_epochs() -> None:
    """Only the weight changes."""
    (part,) = Mixture(parts=(Part(dataset="code", weight=960, max_epochs=3.5),)).scaled(84)
    assert part == Part(dataset="code", weight=Fraction(84), max_epochs=3.5)


def test_a_hold_out_names_something() -> None:
    """Without a repository it holds out nothing."""
    with pytest.raises(SpecError, match="repositories"):
        HoldOut(repositories=())
