"""The learning rate of a step."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.trainjob import SchedulePhase
from runtime.training.schedule import check_schedule, learning_rate

rates = st.floats(1e-7, 1.0)


def test_linear_starts_one_step_in_and_ends_at_its_end():
    """Progress is (i + 1) / steps, so that the first step is not at learning rate zero."""
    phases = (SchedulePhase(shape="linear", steps=4, start=0.0, end=1.0),)
    assert [learning_rate(phases, step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_cosine_is_half_way_at_half_time():
    """cos(pi / 2) = 0."""
    phases = (SchedulePhase(shape="cosine", steps=2, start=1.0, end=0.0),)
    assert pytest.approx([learning_rate(phases, step) for step in range(2)]) == [0.5, 0.0]


def test_exponential_is_the_true_one_and_not_megatrons():
    """3e-4 -> 1e-5: half-way is the geometric mean, 5.48e-5; Megatron's formula would give 1.30e-4."""
    phases = (SchedulePhase(shape="exponential", steps=2, start=3e-4, end=1e-5),)
    assert math.sqrt(3e-4 * 1e-5) == pytest.approx(learning_rate(phases, 0), rel=1e-12)
    assert pytest.approx(learning_rate(phases, 0), rel=1e-3) == 5.48e-5


def test_wsd_golden():
    """Warm-up 2, hold 3, decay 3, by hand: a factor 1000 over three steps is 10 a step."""
    wsd = (
        SchedulePhase(shape="linear", steps=2, start=0.0, end=3e-4),
        SchedulePhase(shape="constant", steps=3, start=3e-4, end=3e-4),
        SchedulePhase(shape="exponential", steps=3, start=3e-4, end=3e-7),
    )
    expected = [1.5e-4, 3e-4, 3e-4, 3e-4, 3e-4, 3e-5, 3e-6, 3e-7]
    assert expected == pytest.approx([learning_rate(wsd, step) for step in range(8)], rel=1e-12)


def test_a_step_outside_is_an_error():
    """Nobody trains at an invented learning rate."""
    phases = (SchedulePhase(shape="constant", steps=2, start=1.0, end=1.0),)
    for step in (-1, 2):
        with pytest.raises(ValueError, match=f"step {step} is outside the 2"):
            learning_rate(phases, step)


def test_a_schedule_of_other_length_than_the_batches_is_refused():
    """Both numbers are in the message."""
    phases = (SchedulePhase(shape="constant", steps=2, start=1.0, end=1.0),)
    check_schedule(phases, 2)
    with pytest.raises(UserError, match="covers 2 steps, the batches 3"):
        check_schedule(phases, 3)


def test_exponential_decay_to_zero_is_refused():
    """It never gets there."""
    phases = (SchedulePhase(shape="exponential", steps=2, start=1.0, end=0.0),)
    with pytest.raises(UserError, match=r"exponential from 1.0 to 0.0"):
        check_schedule(phases, 2)


@settings(max_examples=50)
@given(st.sampled_from(["linear", "exponential", "cosine", "constant"]), st.integers(1, 50), rates, rates)
def test_a_phase_is_monotone_and_ends_at_its_end(shape, steps, start, end):
    """Every shape moves one way from start to end; a constant one stays."""
    phases = (SchedulePhase(shape=shape, steps=steps, start=start, end=end),)
    values = [learning_rate(phases, step) for step in range(steps)]
    last = start if shape == "constant" else end
    assert last == pytest.approx(values[-1], rel=1e-9)
    low, high = min(start, end) * (1 - 1e-9), max(start, end) * (1 + 1e-9)
    assert all(low <= value <= high for value in values)
    signs = {math.copysign(1, b - a) for a, b in pairwise(values) if abs(b - a) > 1e-15}
    assert len(signs) <= 1
