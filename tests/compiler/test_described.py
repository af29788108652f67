"""The experiment that a plan describes is the one that was compiled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings

from compiler.described import experiment_of, kinds
from compiler.errors import UserError
from compiler.load import load_spec
from compiler.plan import Plan, dumps, loads
from ocspec import Experiment
from ocspec.base import describe
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
