"""What running a plan would take, by what would become of its tasks. It runs nothing, and does not say how it looks."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable

import attrs

from compiler.cost.calibration import PRIORS, Calibration
from compiler.cost.estimate import Estimate, critical_path, estimate, total
from compiler.cost.interval import Interval
from compiler.cost.interval import total as add
from compiler.plan import Plan
from compiler.profile import Profile
from ocspec.cli import arguments
from runtime.operators import missing
from runtime.reasons import ACTIONS, Outlook, outlook
from runtime.store import Store


@attrs.frozen(kw_only=True)
class Forecast:
    """Every task, what each takes where it is run, and all together that would run.

    Of a task that may be cut off it is not known whether it runs, so it is `counted` as "or less", and so it is in
    `total`, `wall` and `trained`. `wall` are seconds, `trained` tokens of those tasks that train, `training`.
    `refused` are tasks among those counted that this version cannot run.
    """

    outlooks: tuple[Outlook, ...]
    estimates: dict[str, Estimate]
    counted: dict[str, Estimate]
    total: Estimate
    wall: Interval
    trained: Interval
    training: frozenset[str]
    refused: tuple[str, ...] = ()
    _without_refused: Forecast | None = None

    @property
    def runnable(self) -> Forecast:
        """The same of the tasks that this version can run."""
        return self._without_refused or self

    @property
    def counts(self) -> dict[str, int]:
        """How many tasks have each action."""
        return {action: sum(one.action == action for one in self.outlooks) for action in ACTIONS}

    @property
    def runs(self) -> tuple[Outlook, ...]:
        """The tasks that have to run, as far as is known."""
        return tuple(one for one in self.outlooks if one.runs)

    def of(self, task_id: str) -> Outlook:
        """What would become of one task."""
        return next(one for one in self.outlooks if one.task.id == task_id)

    def unbounded(self, of: Callable[[Estimate], Interval]) -> tuple[tuple[str, ...], Interval]:
        """The tasks of which nothing bounds something that adds up, and what the others take of it."""
        amounts = {task: of(one) for task, one in self.counted.items()}
        known = [interval for interval in amounts.values() if interval.is_known]
        return tuple(task for task, interval in amounts.items() if not interval.is_known), add(known)


def forecast(plan: Plan, store: Store, profile: Profile, calibration: Calibration = PRIORS) -> Forecast:
    """What would become of a plan's tasks on a profile, and what that takes."""
    outlooks = outlook(plan, store)
    estimates = estimate(plan, profile, calibration)
    counted = {one.task.id: estimates[one.task.id].counted(one.action) for one in outlooks if one.runs}
    whole = _summed(plan, profile, outlooks, estimates, counted)
    strange = {task for tasks in missing(plan).values() for task in tasks if task in counted}
    if not strange:
        return whole
    rest = {task: one for task, one in counted.items() if task not in strange}
    return attrs.evolve(
        whole,
        refused=tuple(task for task in counted if task in strange),
        without_refused=_summed(plan, profile, outlooks, estimates, rest),
    )


def _summed(
    plan: Plan,
    profile: Profile,
    outlooks: tuple[Outlook, ...],
    estimates: dict[str, Estimate],
    counted: dict[str, Estimate],
) -> Forecast:
    training = frozenset(task for task in counted if plan.task(task).resources.task_class == "train")
    return Forecast(
        outlooks=outlooks,
        estimates=estimates,
        counted=counted,
        total=total(counted.values()),
        wall=_wall(plan, profile, counted),
        trained=total(counted[task] for task in training).tokens,
        training=training,
    )


def forecast_for(plan: Plan, args: Namespace) -> Forecast:
    """The forecast that a command line asks for: its store and profile, and what past runs took unless it says no."""
    from runtime.calibration import calibration

    store = arguments.store_at(args.store)
    past = PRIORS if args.no_calibration else calibration(store, plan)
    return forecast(plan, store, arguments.profile_called(args.profile), past)


def _wall(plan: Plan, profile: Profile, counted: dict[str, Estimate]) -> Interval:
    """Seconds from start to end. A cluster runs at once what does not wait; this machine may have no room for that.

    What jobs wait for in a queue is not in it.
    """
    at_once = critical_path(plan, counted, counted)
    if profile.dispatch == "slurm":
        return at_once
    return Interval(at_once.low, max(at_once.high, total(counted.values()).seconds.high))
