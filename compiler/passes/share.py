"""share: tasks that do the same on the same inputs become one, so that arms and stages share their common prefix."""

from __future__ import annotations

from functools import partial

import attrs

from compiler.canonical import encode_operator
from compiler.draft import Draft
from compiler.ir import Operator
from compiler.passes.schedule import schedule
from compiler.plan import Input, Task


def share(draft: Draft) -> Draft:
    """Keep the first of equal tasks and point the readers of the others to it."""
    first: dict[tuple[bytes, Read], str] = {}
    same: dict[str, str] = {}
    kept: list[Task] = []
    for task in schedule(draft).tasks:  # upstream first, so that a reader finds what its inputs became
        inputs = tuple(attrs.evolve(i, task=same[i.task]) if i.task in same else i for i in task.inputs)
        identity = draft.memo.get("encoded", (task.op,), partial(encode_operator, task.op)), _read(task.op, inputs)
        if identity in first:
            same[task.id] = first[identity]
        else:
            first[identity] = task.id
            kept.append(task if inputs == task.inputs else attrs.evolve(task, inputs=inputs))
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


Read = tuple[tuple[str, tuple[str, ...]], ...]


def _read(op: Operator, inputs: tuple[Input, ...]) -> Read:
    """What is read by role, as the pre-image of a task has it."""
    roles: dict[str, list[str]] = {}
    for item in inputs:
        roles.setdefault(item.role, []).append(item.task)
    return tuple((role, tuple(sorted(roles[role]) if role in op.unordered else roles[role])) for role in sorted(roles))
