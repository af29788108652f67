"""schedule: tasks in topological order, otherwise as they were lowered. It sees to it that no two share a name."""

from __future__ import annotations

import attrs

from compiler.draft import Draft
from compiler.errors import UserError, UserErrors
from compiler.plan import Task


def schedule(draft: Draft) -> Draft:
    """Sort the tasks so that each stands after all that it reads.

    Raises UserErrors where two tasks have one id: names in a spec may meet, such as an evaluation called `train`.
    """
    by_id = {task.id: task for task in draft.tasks}
    if len(by_id) < len(draft.tasks):
        raise UserErrors(_twice(draft.tasks))
    ordered: dict[str, Task] = {}

    def visit(task: Task, below: tuple[str, ...]) -> None:
        assert task.id not in below, f"tasks wait for each other: {below}"
        for upstream in task.upstream:
            if upstream not in ordered:
                visit(by_id[upstream], (*below, task.id))
        ordered.setdefault(task.id, task)

    for task in draft.tasks:
        visit(task, ())
    return attrs.evolve(draft, tasks=tuple(ordered.values()))


def _twice(tasks: tuple[Task, ...]) -> list[UserError]:
    seen: dict[str, Task] = {}
    return [
        UserError(
            f"two tasks would be called {task.id!r}; the other comes from {first.origin}",
            where=task.origin,
            fix="rename a data set, stage, source or evaluation",
        )
        for task in tasks
        if (first := seen.setdefault(task.id, task)) is not task
    ]
