"""share: tasks that do the same on the same inputs become one, so that arms and stages share their common prefix."""

from __future__ import annotations

import json

import attrs

from compiler.canonical import task_preimage
from compiler.draft import Draft
from compiler.passes.schedule import schedule
from compiler.plan import Task


def share(draft: Draft) -> Draft:
    """Keep the first of equal tasks and point the readers of the others to it."""
    first: dict[str, str] = {}
    same: dict[str, str] = {}
    kept: list[Task] = []
    for task in schedule(draft).tasks:  # upstream first, so that a reader finds what its inputs became
        inputs = tuple(attrs.evolve(item, task=same.get(item.task, item.task)) for item in task.inputs)
        ids: dict[str, list[str]] = {}
        for item in inputs:
            ids.setdefault(item.role, []).append(item.task)
        identity = json.dumps(task_preimage(task.op, ids))
        if identity in first:
            same[task.id] = first[identity]
        else:
            first[identity] = task.id
            kept.append(attrs.evolve(task, inputs=inputs))
    datasets = {
        name: attrs.evolve(
            tasks,
            documents=same.get(tasks.documents, tasks.documents),
            selection=tasks.selection and same.get(tasks.selection, tasks.selection),
            tokens=tasks.tokens and same.get(tasks.tokens, tasks.tokens),
        )
        for name, tasks in draft.datasets.items()
    }
    return attrs.evolve(draft, tasks=tuple(kept), datasets=datasets)
