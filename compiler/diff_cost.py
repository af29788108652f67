"""diff_cost: what a difference costs: the tasks that it touches, estimated one by one and together.

Of a task that may be cut off it is not known whether it runs at all, so in sums it counts as "or less". What a task
takes is `compiler.cost`'s; nothing here looks into a store, so a task that was built elsewhere counts, too.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from compiler.cost.calibration import PRIORS, Calibration
from compiler.cost.estimate import Estimate, estimate, total
from compiler.cost.interval import NOTHING, Interval
from compiler.diff import PlanDiff, TaskDiff
from compiler.plan import Plan
from compiler.profile import Profile


@attrs.frozen(kw_only=True)
class DiffCost:
    """By task that has to be built anew what it takes; `trained` are tokens of the training among them."""

    estimates: dict[str, Estimate]
    total: Estimate
    trained: Interval

    def of(self, tasks: Iterable[TaskDiff]) -> Estimate:
        """Some of the tasks together; those that are reused or removed take nothing."""
        return total(self.estimates[task.id].counted(task.action) for task in tasks if task.id in self.estimates)


def diff_cost(
    diff: PlanDiff, after: Plan, profile: Profile | None = None, calibration: Calibration = PRIORS
) -> DiffCost:
    """What the plan `after` takes beyond what it shares with the one before it."""
    touched = [task for task in diff.tasks if task.action not in {"reuse", "removed"}]
    estimates = estimate(after, profile, calibration, {task.id for task in touched}) if touched else {}
    sums = [estimates[task.id].counted(task.action) for task in touched]
    trained = [
        one.tokens
        for task, one in zip(touched, sums, strict=True)
        if after.task(task.id).resources.task_class == "train"
    ]
    return DiffCost(estimates=estimates, total=total(sums), trained=sum(trained, NOTHING))
