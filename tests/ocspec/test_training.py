"""Tests of stages: their lengths, warm-ups and the roles of their fields."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocspec.base import SpecError, collect_problems, describe
from ocspec.mixture import Mixture, Part
from ocspec.training import (
    WSD,
    AdamW,
    Anneal,
    Batches,
    Cosine,
    Curriculum,
    Decay,
    FineTune,
    Parallelism,
    Pretrain,
    Stage,
)

MIX = Mixture(parts=(Part(dataset="code", weight=1),))


def pretrain(**changes: object) -> Pretrain:
    usual = {
        "name": "pretrain",
        "mixture": MIX,
        "batches": (Batches(steps=100, global_batch=8, sequence_length=128),),
        "schedule": WSD(peak=3e-4, warmup_steps=10),
    }
    return Pretrain(**{**usual, **changes})


def finetune(**changes: object) -> FineTune:
    usual = {
        "name": "sft",
        "instructions": ("pairs",),
        "epochs": 3,
        "global_batch": 512,
        "max_length": 1500,
        "schedule": Cosine(peak=5e-5, warmup_steps=100),
    }
    return FineTune(**{**usual, **changes})


@given(st.integers(1, 10**6), st.integers(1, 4096), st.integers(1, 8192))
@settings(max_examples=30)
def test_tokens_are_steps_by_batch_by_length(steps: int, batch: int, length: int) -> None:
    """In exact integers."""
    assert Batches(steps=steps, global_batch=batch, sequence_length=length).tokens == steps * batch * length


def test_a_stage_has_the_steps_of_all_its_phases() -> None:
    """As the two lengths of the 8B."""
    phases = (
        Batches(steps=130, global_batch=2048, sequence_length=4096),
        Batches(steps=170, global_batch=1024, sequence_length=8192),
    )
    assert pretrain(batches=phases).num_steps == 300


@pytest.mark.parametrize("steps", [100, 101])
def test_a_warm_up_leaves_steps_to_train(steps: int) -> None:
    """A warm-up as long as the stage is a mistake."""
    with pytest.raises(SpecError, match=f"a warm-up of {steps} steps leaves nothing of 100 steps"):
        pretrain(schedule=WSD(peak=3e-4, warmup_steps=steps))
    assert pretrain(schedule=WSD(peak=3e-4, warmup_steps=99)).num_steps == 100


def test_pretraining_does_not_decay_by_itself() -> None:
    """The decay is a stage of its own."""
    with pytest.raises(SpecError) as caught:
        pretrain(schedule=Decay(end=1e-5))
    (problem,) = caught.value.problems
    assert problem.what.startswith("should be WSD or Cosine")


@pytest.mark.parametrize(("samples", "epochs", "batch", "steps"), [(4_000_000, 1, 4096, 976), (367_000, 3, 512, 2150)])
def test_fine_tuning_takes_whole_batches_of_all_epochs(samples: int, epochs: int, batch: int, steps: int) -> None:
    """The last, incomplete batch is left out."""
    assert finetune(samples=samples, epochs=epochs, global_batch=batch).num_steps == steps


def test_given_steps_hold() -> None:
    """Whatever the samples say."""
    assert finetune(samples=367_000, steps=500).num_steps == 500


def test_fine_tuning_knows_how_long_it_is() -> None:
    """Steps or samples, and more than the warm-up."""
    with pytest.raises(SpecError, match="neither steps nor samples is given"):
        finetune()
    with pytest.raises(SpecError, match="a warm-up of 100 steps leaves nothing of 5 steps"):
        finetune(samples=1_000)


def test_a_refused_schedule_does_not_hide_other_problems() -> None:
    """The warm-up cannot be checked then, but the rest of the file can."""
    with collect_problems() as problems:
        pretrain(schedule=WSD(peak=3e-4, warmup=10))
        Batches(steps=0, global_batch=1, sequence_length=1)
    paths = [problem.path for problem in problems]
    assert paths == ["WSD.warmup", "Batches.steps"]


def test_stages_have_their_own_names() -> None:
    """Evaluations speak of them by name."""
    with pytest.raises(SpecError, match="named twice: pretrain"):
        Curriculum(stages=(pretrain(), pretrain()))
    with pytest.raises(SpecError, match="stages"):
        Curriculum(stages=())


def test_a_stage_is_one_of_three() -> None:
    """Stage itself trains nothing."""
    with pytest.raises(SpecError, match="Anneal, FineTune, Pretrain"):
        Stage(name="x")


def test_how_a_stage_is_run_is_execution() -> None:
    """What it learns is not: precision and back end change results."""
    roles = describe(pretrain())["roles"]
    assert roles == {
        "micro_batch": "execution",
        "kernels": "execution",
        "recompute": "execution",
        "checkpoint_every": "execution",
        "note": "doc",
    }
    assert set(describe(Parallelism())["roles"].values()) == {"execution"}
    assert describe(Parallelism())["roles"].keys() == Parallelism.model_fields.keys()


def test_training_parts_are_changes_of_training() -> None:
    """But a mixture is one of data."""
    described = describe(pretrain())
    assert described["class"] == "train"
    assert described["fields"]["schedule"]["class"] == "train"
    assert described["fields"]["mixture"]["class"] == "data"


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8), st.integers(1, 8))
@settings(max_examples=20)
def test_devices_are_the_product_of_the_axes(t: int, p: int, c: int, d: int) -> None:
    """Every replica needs all the others."""
    assert Parallelism(tensor=t, pipeline=p, context=c, data=d).devices == t * p * c * d


@pytest.mark.parametrize("changes", [{"beta1": 1.0}, {"beta2": -0.1}, {"eps": 0.0}, {"weight_decay": -1.0}])
def test_an_optimizer_that_cannot_work_is_refused(changes: dict[str, float]) -> None:
    """Each field in its range."""
    with pytest.raises(SpecError, match="AdamW"):
        AdamW(**changes)


def test_annealing_may_start_before_the_last_step() -> None:
    """As the 1.5B does, at 373,000 of 484,865."""
    anneal = Anneal(
        name="anneal",
        mixture=MIX,
        batches=(Batches(steps=20, global_batch=8, sequence_length=128),),
        schedule=Decay(end=1e-5),
        start_step=80,
    )
    assert (anneal.num_steps, anneal.start_step, anneal.schedule.shape) == (20, 80, "exponential")
    with pytest.raises(SpecError, match="start_step"):
        anneal.replace(start_step=0)
