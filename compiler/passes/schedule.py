"""schedule: tasks in topological order, stable in the order in which they were lowered."""

from __future__ import annotations

import attrs

from compiler.draft import Draft
from compiler.plan import Task


def schedule(draft: Draft) -> Draft:
    """Sort the tasks so that each stands after all that it reads."""
    waiting, done, ordered = list(draft.tasks), set(), []
    while waiting:
        ready = [task for task in waiting if done.issuperset(task.upstream)]
        assert ready, f"tasks wait for each other: {[task.id for task in waiting]}"
        ordered += ready
        done |= {task.id for task in ready}
        waiting = [task for task in waiting if task.id not in done]
    return attrs.evolve(draft, tasks=tuple(_depth_first(ordered)))


def _depth_first(tasks: list[Task]) -> list[Task]:
    """Among topological orders, the one in which a task follows its inputs closely: easier to read."""
    by_id = {task.id: task for task in tasks}
    seen: dict[str, Task] = {}

    def visit(task: Task) -> None:
        for upstream in task.upstream:
            if upstream not in seen:
                visit(by_id[upstream])
        seen.setdefault(task.id, task)

    for task in tasks:
        visit(task)
    return list(seen.values())
