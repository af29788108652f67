"""What rules reckon with is what the runtime does: learning rates, and no more tokens than there are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from compiler.rules.common import rate_at
from compiler.trainjob import SchedulePhase
from runtime.training.schedule import learning_rate

phases = st.builds(
    SchedulePhase,
    shape=st.sampled_from(["linear", "constant", "exponential", "cosine"]),
    steps=st.integers(1, 20),
    start=st.floats(1e-7, 1.0),
    end=st.floats(1e-7, 1.0),
)


@given(st.lists(phases, min_size=1, max_size=4), st.data())
def test_the_rate_of_a_step_is_the_one_that_it_is_trained_with(
    schedule: list[SchedulePhase], data: st.DataObject
) -> None:
    steps = sum(phase.steps for phase in schedule)
    step = data.draw(st.integers(0, steps - 1))
    assert rate_at(schedule, step) == learning_rate(schedule, step)


@given(st.lists(phases, min_size=1, max_size=4), st.integers(0, 5))
def test_after_the_last_step_it_is_the_last_rate(schedule: list[SchedulePhase], more: int) -> None:
    assert rate_at(schedule, sum(phase.steps for phase in schedule) + more) == schedule[-1].end
