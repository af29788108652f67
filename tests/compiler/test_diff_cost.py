"""What a difference costs: every task that is built anew, and no other; what may not run counts as "or less"."""

from __future__ import annotations

import attrs
import pytest

from compiler.compile import compile_experiment
from compiler.cost.estimate import estimate
from compiler.diff import diff_plans
from compiler.diff_cost import DiffCost, diff_cost
from compiler.plan import Plan
from ocspec import Experiment, edit
from tests.compiler.test_diff import SPECS


@pytest.fixture(scope="module")
def hotter(mini: Experiment) -> Plan:
    """The mini with another learning rate in pretraining."""
    return compile_experiment(edit(mini, {"pretrain.schedule.peak": 1e-3}), SPECS)


def test_what_is_touched_is_estimated(mini_plan: Plan, hotter: Plan) -> None:
    diff = diff_plans(mini_plan, hotter)
    cost = diff_cost(diff, hotter)
    everything = estimate(hotter)
    assert set(cost.estimates) == set(diff.ids("rebuild", "new", "may cut off"))
    assert all(cost.estimates[task] == everything[task] for task in cost.estimates)


def test_sums_say_or_less_of_what_may_be_cut_off(mini_plan: Plan, hotter: Plan) -> None:
    """The two stages that differ by themselves are the lower bound, all that follow the upper."""
    diff = diff_plans(mini_plan, hotter)
    cost = diff_cost(diff, hotter)
    tokens = {stage.name: stage.tokens for stage in hotter.stages}
    assert cost.trained.low == tokens["pretrain"] + tokens["anneal"]
    assert cost.trained.high == sum(tokens.values())
    uncertain = [task for task in diff.tasks if task.action == "may cut off"]
    assert uncertain
    for task in uncertain:
        sums = attrs.asdict(cost.estimates[task.id].counted(task.action), recurse=False)
        assert all(value.low == 0 for value in sums.values())
    assert cost.of(diff.tasks) == cost.total
    assert cost.of(uncertain).seconds.high <= cost.total.seconds.high


def test_no_difference_costs_nothing(mini_plan: Plan) -> None:
    """Exactly nothing, which is known."""
    cost = diff_cost(diff_plans(mini_plan, mini_plan), mini_plan)
    assert isinstance(cost, DiffCost)
    assert cost.estimates == {}
    assert (cost.total.gpu_hours.high, cost.total.bytes_written.high, cost.trained.high) == (0, 0, 0)
