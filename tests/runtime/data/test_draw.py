"""Draws to an exact budget: exact sums, even use, no repeats within an epoch, no dependence on order."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.errors import UserError, UserErrors
from runtime.data.draw import Phase, Samples, Supply, apportion, draw, draw_samples, plan_draw

FEW = settings(max_examples=60, deadline=None)
weights = st.fractions(min_value=0, max_value=5, max_denominator=20)
names = st.text("abcxyz", min_size=1, max_size=3)
GOLDEN = [[1, 16], [0, 80], [1, 112], [1, 64], [1, 144], [0, 48], [1, 152]]


@st.composite
def supplies(draw_: st.DrawFn) -> list[Supply]:
    """One to five data sets without a limit on epochs, at least one of them with a weight."""
    chosen = draw_(st.lists(names, min_size=1, max_size=5, unique=True))
    parts = [Supply(name, draw_(st.integers(70, 700)), draw_(weights), math.inf) for name in chosen]
    return [parts[0]._replace(weight=Fraction(1)), *parts[1:]]


phase_lists = st.lists(st.builds(Phase, st.integers(0, 60), st.sampled_from([8, 16, 32])), min_size=1, max_size=4)


@FEW
@given(st.integers(0, 10_000), st.dictionaries(names, weights, min_size=1, max_size=6))
def test_parts_sum_to_the_total_and_are_within_one_of_their_quota(total: int, shares: dict[str, Fraction]) -> None:
    """The two properties of largest remainders: exact sum, and floor or ceiling of each quota."""
    shares["certain"] = Fraction(1)
    parts = apportion(total, shares)
    assert sum(parts.values()) == total
    for name, weight in shares.items():
        quota = total * weight / sum(shares.values())
        assert math.floor(quota) <= parts[name] <= math.ceil(quota)


def test_equal_remainders_go_to_the_first_name() -> None:
    """Ties are broken by name, whatever the order of the mapping."""
    assert apportion(2, {"c": Fraction(1), "a": Fraction(1), "b": Fraction(1)}) == {"c": 0, "a": 1, "b": 1}
    assert apportion(10**30 + 1, {"b": Fraction(1), "a": Fraction(1)}) == {
        "b": 5 * 10**29,
        "a": 5 * 10**29 + 1,
    }


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({}, "0 weights sum to 0"),
        ({"a": Fraction(0)}, "1 weights sum to 0"),
        ({"a": Fraction(-1), "b": Fraction(2)}, "negative weights: a"),
    ],
)
def test_weights_that_split_nothing_are_refused(shares: dict[str, Fraction], message: str) -> None:
    """Before a division by zero does."""
    with pytest.raises(UserError, match=message):
        apportion(3, shares)


@FEW
@given(supplies(), st.integers(0, 300), st.integers(0, 2**63))
def test_one_phase_uses_each_window_evenly(datasets: list[Supply], instances: int, seed: int) -> None:
    """Exact counts per data set; each window floor or ceiling of the epochs times; none out of bounds."""
    order = draw([Phase(instances, 16)], datasets, seed)
    assert order.shape == (instances, 2)
    assert order.dtype == np.int64
    shares = apportion(instances, {part.name: part.weight for part in datasets})
    for index, part in enumerate(datasets):
        offsets = order[order[:, 0] == index, 1]
        windows = (part.num_tokens - 1) // 16
        assert len(offsets) == shares[part.name]
        assert (offsets % 16 == 0).all()
        assert (offsets + 17 <= part.num_tokens).all()
        times = np.bincount(offsets // 16, minlength=windows)
        assert set(times.tolist()) <= {len(offsets) // windows, -(-len(offsets) // windows)}


@FEW
@given(supplies(), phase_lists, st.integers(0, 1000))
def test_phases_together_repeat_no_token_within_an_epoch(
    datasets: list[Supply], phases: list[Phase], seed: int
) -> None:
    """Each phase has its exact count; no input token is used more often than the epochs begun."""
    order = draw(phases, datasets, seed)
    assert len(order) == sum(phase.instances for phase in phases)
    last = {take.dataset: take for takes in plan_draw(phases, datasets) for take in takes}
    used = {index: np.zeros(part.num_tokens, dtype=int) for index, part in enumerate(datasets)}
    row = 0
    for phase in phases:
        for index, offset in order[row : row + phase.instances].tolist():
            assert offset % phase.sequence_length == 0
            assert offset + phase.sequence_length + 1 <= datasets[index].num_tokens
            used[index][offset : offset + phase.sequence_length] += 1
        row += phase.instances
    for index, counts in used.items():
        assert counts.max() <= (math.ceil(last[index].epochs) if index in last else 0)


@FEW
@given(supplies(), phase_lists, st.data())
def test_the_order_of_data_sets_does_not_matter(
    datasets: list[Supply], phases: list[Phase], data: st.DataObject
) -> None:
    """Listed otherwise, the same sequences come in the same order."""
    shuffled = data.draw(st.permutations(datasets))
    expected = [(datasets[i].name, offset) for i, offset in draw(phases, datasets, 3).tolist()]
    assert [(shuffled[i].name, offset) for i, offset in draw(phases, shuffled, 3).tolist()] == expected


def test_a_change_of_phase_goes_on_in_the_stream() -> None:
    """Two phases of 8 and 32 tokens over 10 windows of 32: 3 parts of 8, then 9 whole windows, none twice."""
    order = draw([Phase(3, 8), Phase(9, 32)], [Supply("a", 321, Fraction(1))], seed=0)
    first, whole = order[:3, 1], order[3:, 1]
    assert len(set((first // 32).tolist())) == 1, "the first three parts are of one window"
    assert sorted([*whole.tolist(), int(first[0]) // 32 * 32]) == list(range(0, 320, 32))
    with pytest.raises(UserErrors, match=r"12 sequences .* 10 windows of 32 tokens .* 1\.1 epochs"):
        draw([Phase(2, 8), Phase(10, 32)], [Supply("a", 321, Fraction(1))], seed=0)


def test_the_same_seed_gives_the_recorded_order() -> None:
    """Golden: an order that changes with a version of numpy would train another model from the same plan."""
    datasets = [Supply("web", 100, Fraction(1, 3), 2), Supply("code", 200, Fraction(2, 3), 2)]
    assert draw([Phase(4, 16), Phase(3, 8)], datasets, 7).tolist() == GOLDEN
    assert draw([Phase(4, 16), Phase(3, 8)], datasets, 8).tolist() != GOLDEN


def test_every_epoch_and_data_set_has_its_own_order() -> None:
    """Two epochs of one data set, and two data sets of one size, are permuted differently."""
    (takes,) = plan_draw([Phase(40, 4)], [Supply("a", 81, Fraction(1), 2)])
    assert [(take.first, take.instances, take.epochs) for take in takes] == [(0, 40, 2)]
    samples = draw_samples([Samples("a", 20)], 2, 1, seed=1)[:, 1].tolist()
    assert sorted(samples[:20]) == sorted(samples[20:]) == list(range(20))
    assert samples[:20] != samples[20:]
    half = [draw([Phase(10, 4)], [Supply(name, 81, Fraction(1))], 1)[:, 1].tolist() for name in "ab"]
    assert sorted(half[0]) != sorted(half[1])


def test_shuffling_mixes_data_sets() -> None:
    """A run of one data set as long as half the draw would be a curriculum, not a mixture."""
    order = draw([Phase(1000, 4)], [Supply(name, 4001, Fraction(1)) for name in "ab"], 0)
    changes = int((np.diff(order[:, 0]) != 0).sum())
    assert 430 < changes < 570


def test_every_data_set_over_its_budget_is_named_with_its_numbers() -> None:
    """All problems at once, each with what was asked, what there is, and the epochs that it would take."""
    datasets = [
        Supply("big", 10_001, Fraction(1), Fraction(1)),
        Supply("small", 101, Fraction(1), Fraction(3, 2)),
        Supply("none", 3, Fraction(1), math.inf),
    ]
    with pytest.raises(UserErrors) as raised:
        draw([Phase(60, 10)], datasets, 0)
    assert [problem.where for problem in raised.value.problems] == ["data set none", "data set small"]
    assert raised.value.problems[1].what == (
        "20 sequences are asked of 10 windows of 10 tokens (101 tokens): 2 epochs, more than the 1.5 allowed"
    )
    assert "infinitely many epochs" in raised.value.problems[0].what


def test_the_limit_of_epochs_is_exact() -> None:
    """1.1 epochs of ten windows are eleven, not ten by a rounding error and not twelve."""
    supply = Supply("a", 101, Fraction(1), 1.1)
    assert len(draw([Phase(11, 10)], [supply], 0)) == 11
    with pytest.raises(UserErrors, match=r"1\.2 epochs, more than the 1\.1 allowed"):
        draw([Phase(12, 10)], [supply], 0)


@pytest.mark.parametrize(
    ("phases", "datasets", "message"),
    [
        ([Phase(1, 8), Phase(1, 12)], [Supply("a", 99, Fraction(1))], r"\[8\] do not divide .* 12"),
        ([Phase(1, 8)], [Supply("a", 99, Fraction(1))] * 2, "share a name: a"),
    ],
)
def test_draws_without_a_meaning_are_refused(phases: list[Phase], datasets: list[Supply], message: str) -> None:
    """Lengths that do not nest, and names that would share a permutation."""
    with pytest.raises(UserError, match=message):
        draw(phases, datasets, 0)


@FEW
@given(st.dictionaries(names, st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 4), st.integers(1, 8))
def test_each_epoch_has_every_sample_once(sizes: dict[str, int], epochs: int, batch: int) -> None:
    """Without weights an epoch is a permutation of all; only the last, incomplete batch is cut."""
    samples = [Samples(name, size) for name, size in sizes.items()]
    everything = sum(sizes.values())
    if epochs * everything < batch:
        with pytest.raises(UserError, match="less than one batch"):
            draw_samples(samples, epochs, batch, 0)
        return
    order = draw_samples(samples, epochs, batch, 0)
    assert len(order) == epochs * everything // batch * batch
    for epoch in range(len(order) // everything):
        rows = order[epoch * everything : (epoch + 1) * everything].tolist()
        expected = {(i, row) for i, part in enumerate(samples) for row in range(part.num_samples)}
        assert {(i, row) for i, row in rows} == expected
    backwards = draw_samples(samples[::-1], epochs, batch, 0)
    assert [len(samples) - 1 - i for i in backwards[:, 0].tolist()] == order[:, 0].tolist()
    assert (backwards[:, 1] == order[:, 1]).all()


def test_weights_of_samples_set_their_parts() -> None:
    """A weighted epoch is as long as a plain one; a data set goes on where its last epoch stopped."""
    samples = [Samples("a", 30, Fraction(1, 4)), Samples("b", 10, Fraction(3, 4))]
    order = draw_samples(samples, 2, 8, seed=2)
    for epoch in (order[:40], order[40:]):
        assert Counter(epoch[:, 0].tolist()) == {0: 10, 1: 30}
    times = Counter(order[order[:, 0] == 0, 1].tolist())
    assert set(times.values()) == {1}, "20 of 30 samples, none twice"
    assert set(Counter(order[order[:, 0] == 1, 1].tolist()).values()) == {6}


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([Samples("a", 3), Samples("b", 3)], "2 epochs make 12 samples, less than one batch of 13"),
        ([Samples("a", 9, Fraction(1)), Samples("b", 9)], "1 of 2 data sets have a weight; b have none"),
        ([Samples("a", 9, Fraction(1)), Samples("b", 0, Fraction(1))], "no samples to draw from in b"),
    ],
)
def test_fine_tuning_without_a_batch_or_a_share_is_refused(samples: list[Samples], message: str) -> None:
    """Each with its numbers."""
    with pytest.raises(UserError, match=message):
        draw_samples(samples, 2, 13, 0)
