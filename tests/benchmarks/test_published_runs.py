"""Predicted beside reported GPU-hours of published runs: within a band that is broad and says so; none is fitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.published_runs import RUNS, Run, table
from compiler.plan import Plan

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "cost.md"


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_the_middle_is_within_a_broad_band(run: Run) -> None:
    """Llama 3 8B's card has more than twice the hours that its tokens need at any published utilization."""
    assert 0.4 < run.predicted.middle / run.reported < 1.3


def test_most_reported_hours_lie_inside() -> None:
    """All but Llama 3's: a bound that holds everything says nothing."""
    inside = {run.name for run in RUNS if run.reported in run.predicted}
    assert inside == {run.name for run in RUNS} - {"Llama 3 8B", "Llama 3 70B"}


def test_shapes_are_those_of_the_specs(full_scale_parameters: dict[str, int]) -> None:
    """OpenCoder's models have the parameters that their specs have."""
    ours = {run.name: run.shape.parameters for run in RUNS}
    assert ours["OpenCoder 1.5B"] == full_scale_parameters["1_5b"]
    assert ours["OpenCoder 8B"] == full_scale_parameters["8b"]
    assert 6.7e9 < ours["Llama 2 7B"] < 6.8e9
    assert 70e9 < ours["Llama 3 70B"] < 71e9


@pytest.fixture(scope="module")
def full_scale_parameters() -> dict[str, int]:
    """By the specs themselves."""
    from compiler.compile import compile_experiment
    from compiler.load import load_spec

    root = Path(__file__).parents[2] / "specs"
    plans: dict[str, Plan] = {
        size: compile_experiment(*load_spec(str(root / f"opencoder_{size}.py"))) for size in ("1_5b", "8b")
    }
    return {size: plan.parameters for size, plan in plans.items()}


def test_the_page_shows_the_table_as_it_is() -> None:
    """Word for word."""
    assert "\n".join(table()) in PAGE.read_text()
