"""The budget of a stage: sequences = steps x batch, split over data sets without a remainder, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import ir
from compiler.errors import UserErrors
from compiler.passes.lower_tokens import shares
from compiler.plan import Plan
from ocspec import Mixture, Part
from runtime.data.draw import Phase, Supply, apportion, plan_draw

WEIGHTS = st.one_of(
    st.integers(1, 10**9),
    st.floats(1e-6, 1e6, allow_nan=False),
    st.fractions(min_value=Fraction(1, 10**6), max_value=10**6, max_denominator=10**6),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(WEIGHTS, min_size=1, max_size=8), st.integers(1, 10**9), st.integers(1, 4096))
def test_whatever_the_weights_the_parts_sum_to_steps_times_batch(weights: list, steps: int, batch: int) -> None:
    """Shares sum to one exactly, and so the sequences of all data sets to those of the stage."""
    mixture = Mixture(parts=tuple(Part(dataset=f"d{n}", weight=weight) for n, weight in enumerate(weights)))
    parts = shares(mixture)
    assert sum(part.share for part in parts) == 1
    counts = apportion(steps * batch, {part.dataset: part.share for part in parts})
    assert sum(counts.values()) == steps * batch
    for part in parts:
        assert abs(counts[part.dataset] - steps * batch * part.share) < 1


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 8), st.sampled_from([32, 64])), min_size=1, max_size=3),
    st.lists(st.integers(1, 99), min_size=1, max_size=4),
)
def test_phases_of_a_stage_each_meet_their_own_budget(phases: list, weights: list[int]) -> None:
    """What a draw plans to take of each data set sums to each phase's sequences, none lost between phases."""
    supplies = [Supply(f"d{n}", 10**6, Fraction(weight), 10**6) for n, weight in enumerate(weights)]
    wanted = [Phase(steps * batch, length) for steps, batch, length in phases]
    for phase, takes in zip(wanted, plan_draw(wanted, supplies), strict=True):
        assert sum(take.instances for take in takes) == phase.instances


def test_the_plan_states_the_same_sequences_everywhere(full_scale: dict[str, Plan]) -> None:
    """In the draw, in the job and in the summary of every stage of both models."""
    for plan in full_scale.values():
        for stage in plan.stages:
            job = plan.task(stage.task).op.job
            draw = plan.task(f"{stage.name}/mix").op
            assert stage.instances == sum(batch.steps * batch.global_batch for batch in job.batches)
            if isinstance(draw, ir.Draw):
                assert sum(phase.instances for phase in draw.phases) == stage.instances
                assert sum(share.share for share in draw.shares) == 1
                assert stage.tokens == sum(phase.instances * phase.sequence_length for phase in draw.phases)


def test_a_declared_size_is_refused_at_compile_time_for_all_epochs_or_none(compiled: Callable[[str], Plan]) -> None:
    """2,560 tokens asked: 1,280 declared do for two epochs, and not for 1.99."""
    text = """
small_one = code(declared=Declared(tokens=1280))
part = Part(dataset="code", weight=1, max_epochs={epochs})
experiment = small(pretrain(mixture=Mixture(parts=(part,))), data=(small_one,))
"""
    (stage,) = compiled(text.format(epochs=2)).stages
    assert stage.tokens == 2560
    with pytest.raises(UserErrors, match=r"asks for 2,560 tokens of 'code', which holds at most 1,280 x 1.99 epochs"):
        compiled(text.format(epochs=1.99))


def test_an_unknown_size_compiles_and_is_refused_when_it_is_drawn(compiled: Callable[[str], Plan]) -> None:
    """With the data set and what it would take; nothing is known of a Parquet file's tokens before."""
    text = """
unseen = code(sources=(Parquet(name="far", path="nowhere/*.parquet", declared=Declared()),))
experiment = small(pretrain(), data=(unseen,))
"""
    draw = compiled(text).task("base/mix").op
    supplies = [Supply(share.dataset, 641, share.share, share.max_epochs) for share in draw.shares]
    phases = [Phase(phase.instances, phase.sequence_length) for phase in draw.phases]
    with pytest.raises(UserErrors, match=r"40 sequences .* 10 windows .* 4 epochs, more than the 1 allowed") as error:
        plan_draw(phases, supplies)
    assert error.value.problems[0].where == "data set code"
