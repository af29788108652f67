"""Tests of the experiment: the whole in one object."""

from __future__ import annotations

import json

import pytest

import ocspec
from ocspec import (
    WSD,
    Admit,
    Batches,
    BitsPerByte,
    Curriculum,
    Dataset,
    Directory,
    Experiment,
    HoldOut,
    Mixture,
    Part,
    Pretrain,
    SpecError,
    TrainedBPE,
    Transformer,
)
from ocspec.base import collect_problems, describe


def experiment(**changes: object) -> Experiment:
    usual = {
        "name": "small",
        "data": (Dataset(name="code", sources=(Directory(name="here", path="."),), steps=(Admit(),)),),
        "tokenizer": TrainedBPE(vocab_size=512),
        "model": Transformer(
            num_layers=2,
            hidden_size=64,
            intermediate_size=128,
            num_heads=4,
            num_kv_heads=2,
            max_positions=128,
        ),
        "curriculum": Curriculum(
            stages=(
                Pretrain(
                    name="pretrain",
                    mixture=Mixture(parts=(Part(dataset="code", weight=1),)),
                    batches=(Batches(steps=10, global_batch=8, sequence_length=128),),
                    schedule=WSD(peak=1e-3, warmup_steps=2),
                ),
            )
        ),
    }
    return Experiment(**{**usual, **changes})


def test_an_experiment_is_json_once_described() -> None:
    """The plan stores it so, and the diff reads it."""
    described = describe(experiment(hold_out=HoldOut(repositories=("x@*",)), evaluations=(BitsPerByte(),)))
    assert json.loads(json.dumps(described)) == described


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", tuple(Dataset(name="code", sources=(Directory(name="here", path="."),)) for _ in range(2))),
        ("instructions", (Directory(name="pairs", path="a"), Directory(name="pairs", path="b"))),
        ("evaluations", (BitsPerByte(), BitsPerByte())),
    ],
)
def test_names_stand_for_one_thing(field: str, value: object) -> None:
    """Two of one name are refused."""
    with pytest.raises(SpecError, match="named twice"):
        experiment(**{field: value})


def test_an_experiment_needs_data() -> None:
    """And everything that has no default."""
    with pytest.raises(SpecError, match=r"Experiment\.data"):
        experiment(data=())
    with pytest.raises(SpecError) as caught:
        Experiment(name="empty")
    assert {problem.path for problem in caught.value.problems} == {
        "Experiment.data",
        "Experiment.tokenizer",
        "Experiment.model",
        "Experiment.curriculum",
    }


def test_all_mistakes_of_a_file_are_found_in_one_go() -> None:
    """At any depth, each with its own line."""
    with collect_problems() as problems:
        experiment(
            data=(Dataset(name="code", steps=(Admit(max_byte=1),)),),
            tokenizer=TrainedBPE(vocab_size=100),
            shard=2,
        )
    assert [problem.path for problem in problems] == [
        "Admit.max_byte",
        "TrainedBPE.vocab_size",
        "Experiment.shard",
    ]
    assert len({str(problem.origin) for problem in problems}) == 3


def test_shards_and_notes_do_not_matter_to_results() -> None:
    """All else does."""
    assert describe(experiment())["roles"] == {"shards": "execution", "shard_bytes": "execution", "note": "doc"}


def test_every_name_of_the_language_can_be_imported() -> None:
    """Names are loaded when first used; a wrong one is an AttributeError like any other."""
    for name in ocspec.__all__:
        assert getattr(ocspec, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Experimnt'"):
        _ = ocspec.Experimnt
