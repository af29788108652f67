"""The experiment that a plan describes is the one that was compiled."""

from __future__ import annotations

import json
import warnings
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings

from compiler.described import experiment_of, kinds
from compiler.errors import UserError
from compiler.load import load_spec
from compiler.plan import Plan, dumps, loads
from ocspec import Experiment, Part, SpecError
from ocspec.base import Aka, describe
from ocspec.editing import edits
from tests.compiler.test_diff import EVERYTHING, PARTS
from tests.ocspec.variants import experiments, whole

SPECS = Path(__file__).parents[2] / "specs"
SHIPPED = [f"{name}.py" for name in ("opencoder_mini", "opencoder_1_5b", "opencoder_8b")]


@settings(max_examples=60)
@given(experiments)
def test_described_and_read_back(experiment: Experiment) -> None:
    """Through JSON, types included."""
    described = describe(experiment)
    again = experiment_of(json.loads(json.dumps(described)))
    assert again == experiment
    assert edits(experiment, again) == {}
    assert describe(again) == described


def test_every_part_of_the_language(experiment_of_text: Experiment) -> None:
    """One experiment that has nearly all of them."""
    assert experiment_of(json.loads(json.dumps(describe(experiment_of_text)))) == experiment_of_text
    assert len(kinds()) > 40


@pytest.fixture
def experiment_of_text(experiment_of) -> Experiment:
    """The experiment of `test_diff` that has all fields."""
    return experiment_of(PARTS + EVERYTHING)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_experiments(name: str) -> None:
    experiment, _ = load_spec(str(SPECS / name))
    assert experiment_of(json.loads(json.dumps(describe(experiment)))) == experiment


def test_a_plan_that_was_read_back(mini: Experiment, mini_plan: Plan) -> None:
    assert experiment_of(loads(dumps(mini_plan)).spec) == mini


def test_what_this_version_does_not_know_is_said() -> None:
    described = describe(whole())
    described["fields"]["model"]["kind"] = "Mamba"
    with pytest.raises(UserError, match="the spec holds a Mamba, which this ocspec does not have"):
        experiment_of(described)


def test_a_field_that_this_version_does_not_know_is_refused() -> None:
    """Left out, it would be another experiment without a word."""
    described = describe(whole())
    described["fields"]["model"]["fields"]["experts"] = 8
    with pytest.raises(SpecError) as error:
        experiment_of(described)
    assert str(error.value).startswith("Transformer.experts: no such field"), "no file and line"


def test_a_field_that_was_renamed_since_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its value as the field of today holds it; nobody wrote the old name, so that nobody is warned."""
    part = describe(Part(dataset="code", weight=Fraction(1, 3)))
    part["fields"]["share"] = part["fields"].pop("weight")
    monkeypatch.setattr(Part.model_fields["weight"], "metadata", [*Part.model_fields["weight"].metadata, Aka("share")])
    described = describe(whole())
    stage = described["fields"]["curriculum"]["fields"]["stages"]["keyed"]["one"]
    stage["fields"]["mixture"]["fields"]["parts"]["keyed"] = {"code": part}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = experiment_of(described)
    assert read.origin is None
    assert read.curriculum.stages[0].mixture.parts == (Part(dataset="code", weight=Fraction(1, 3)),)
