"""Several values at some places: one experiment for each combination."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocspec import WSD, SpecError, sweep
from ocspec.editing import edits
from tests.ocspec.variants import whole


def test_the_grid_is_complete_and_named() -> None:
    arms = sweep(whole(), {"one.schedule.peak": (1e-4, 3e-4), "model.num_layers": (1, 2)})
    assert [arm.name for arm in arms] == [
        "whole-peak_0.0001-num_layers_1",
        "whole-peak_0.0001-num_layers_2",
        "whole-peak_0.0003-num_layers_1",
        "whole-peak_0.0003-num_layers_2",
    ]
    assert edits(whole(), arms[3]) == {
        "name": arms[3].name,
        "model.num_layers": 2,
        "curriculum.stages.one.schedule.peak": 3e-4,
    }


def test_places_that_end_alike_are_told_apart() -> None:
    (arm,) = sweep(whole(), {"one.seed": (1,), "two.seed": (2,)})
    assert arm.name == "whole-one.seed_1-two.seed_2"


def test_an_object_as_a_value() -> None:
    arms = sweep(whole(), {"one.schedule": [WSD(peak=peak, warmup_steps=1) for peak in (1e-3, 2e-3)]})
    assert [arm.name for arm in arms] == ["whole-schedule_WSD_0.001_1", "whole-schedule_WSD_0.002_1"]


@settings(max_examples=40)
@given(st.lists(st.text(max_size=100), min_size=1, max_size=4, unique=True))
def test_every_arm_has_a_name_of_its_own_that_a_file_can_have(notes: list[str]) -> None:
    arms = sweep(whole(), {"one.note": notes})
    names = [arm.name for arm in arms]
    assert len(set(names)) == len(notes)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}", name) for name in names)
    assert [arm.curriculum.stages[0].note for arm in arms] == notes


def test_what_is_wrong_is_said_once_for_all_arms() -> None:
    with pytest.raises(SpecError) as error:
        sweep(whole(), {"one.schedule.peek": (1, 2, 3)})
    assert [problem.path for problem in error.value.problems] == ["one.schedule.peek"]
    with pytest.raises(SpecError) as error:
        sweep(whole(), {"one.schedule.peak": (1, "two", -3), "one.seed": (1, 2)})
    assert [problem.what for problem in error.value.problems] == [
        "should be a valid number (got 'two')",
        "should be greater than 0 (got -3)",
    ]


def test_one_place_in_two_spellings_is_refused() -> None:
    """The first values would be lost."""
    with pytest.raises(SpecError) as error:
        sweep(whole(), {"one.seed": (1, 2), "curriculum.stages.one.seed": (3,), "model.num_layers": (1,)})
    (problem,) = error.value.problems
    assert (problem.path, problem.what) == ("curriculum.stages.one.seed", "is swept twice, as one.seed too")
    assert problem.fix == "give all its values in one place"


def test_the_name_is_no_place_to_sweep() -> None:
    """Arms are called after what they change; experiments that differ in nothing else are one."""
    with pytest.raises(SpecError) as error:
        sweep(whole(), {"name": ("a", "b")})
    (problem,) = error.value.problems
    assert (problem.path, problem.what) == ("name", "cannot be swept: each arm has a name of its own already")
