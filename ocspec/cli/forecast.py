"""What a plan would do to a store: which tasks are reused, which are cut off, which run. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from compiler.plan import Plan, Task
from runtime.store import Store
from runtime.worker import task_key

if TYPE_CHECKING:
    from runtime.task import Artifact

Action = Literal["reused", "cut off", "to run"]


@attrs.frozen(kw_only=True)
class Forecast:
    """One task: `waits_for` are the tasks that end right before it can start."""

    task: Task
    action: Action
    waits_for: tuple[str, ...] = ()


def forecast(plan: Plan, store: Store) -> list[Forecast]:
    """What would become of every task, in the plan's order.

    A task is cut off when its inputs turned out to hold what they held before: another fingerprint, the same
    key. Of a task whose inputs are not built yet that cannot be known; it counts as one to run.
    """
    built: dict[str, Artifact] = {}
    before: dict[str, set[str]] = {}
    found = []
    for task in plan.tasks:
        before[task.id] = {*task.upstream}.union(*(before[upstream] for upstream in task.upstream))
        artifact, action = store.find(task.fingerprint), "reused"
        waiting = [upstream for upstream in task.upstream if upstream not in built]
        waits_for = tuple(one for one in waiting if not any(one in before[other] for other in waiting))
        if artifact is None and not waits_for:
            artifact, action = store.artifact(_key(task, built)), "cut off"
        if artifact is None:
            found.append(Forecast(task=task, action="to run", waits_for=waits_for))
            continue
        built[task.id] = artifact
        found.append(Forecast(task=task, action="reused" if action == "reused" else "cut off"))
    return found


def _key(task: Task, built: dict[str, Artifact]) -> str:
    inputs: dict[str, tuple[Artifact, ...]] = {}
    for item in task.inputs:
        inputs[item.role] = (*inputs.get(item.role, ()), built[item.task])
    return task_key(task, inputs)[0]
