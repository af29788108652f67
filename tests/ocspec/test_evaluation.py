"""Tests of evaluations: the paper's settings as defaults."""

from __future__ import annotations

import pytest

from ocspec.base import SpecError, concrete_kinds, describe
from ocspec.evaluation import (
    MBPP,
    Benchmark,
    BigCodeBench,
    BitsPerByte,
    CodeArena,
    Evaluation,
    HumanEval,
    LiveCodeBench,
    McEval,
    MdEval,
    MultiPLE,
)


def test_every_evaluation_has_its_own_name() -> None:
    """So that all may stand in one experiment unnamed."""
    names = [kind().name for kind in concrete_kinds(Evaluation)]
    assert len(names) == len(set(names)) == 9


@pytest.mark.parametrize("kind", [HumanEval, BigCodeBench, LiveCodeBench, MultiPLE, McEval, MdEval, CodeArena])
def test_benchmarks_are_greedy_with_one_sample(kind: type[Benchmark]) -> None:
    """OpenCoder 5."""
    benchmark = kind()
    assert (benchmark.temperature, benchmark.samples, benchmark.shots) == (0.0, 1, 0)


def test_mbpp_has_three_shots_and_multipl_e_eight_languages() -> None:
    """The two that differ."""
    assert MBPP().shots == 3
    assert len(MultiPLE().languages) == 8


def test_an_evaluation_is_a_change_of_measurement() -> None:
    """It touches no training."""
    assert {describe(kind())["class"] for kind in concrete_kinds(Evaluation)} == {"eval"}


@pytest.mark.parametrize("base", [Evaluation, Benchmark])
def test_bases_measure_nothing(base: type[Evaluation]) -> None:
    """They name what does."""
    with pytest.raises(SpecError, match="is only a base class"):
        base(name="x")


@pytest.mark.parametrize("order", [0, 8])
def test_the_yardstick_has_a_sensible_order(order: int) -> None:
    """1 to 7, or none."""
    assert BitsPerByte(ngram_order=None).ngram_order is None
    with pytest.raises(SpecError, match="ngram_order"):
        BitsPerByte(ngram_order=order)


def test_a_window_is_two_months() -> None:
    """2305-2409 as in the paper."""
    assert LiveCodeBench().window == "2305-2409"
    with pytest.raises(SpecError, match="window"):
        LiveCodeBench(window="May 2023")


def test_a_prompt_is_for_base_or_for_chat_models() -> None:
    """Nothing else."""
    with pytest.raises(SpecError, match="prompt"):
        BigCodeBench(prompt="chat")
