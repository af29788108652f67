"""fingerprint: the identity of every task, from its operator and the identities of what it reads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import attrs

from compiler import canonical
from compiler.draft import Draft
from compiler.memo import Memo
from compiler.plan import Task


def fingerprint(draft: Draft) -> Draft:
    """Fill in `fingerprint`, where inputs enter by their own, and `operator`."""
    identity: dict[str, str] = {}
    tasks: list[Task] = []
    for task in draft.tasks:
        read = tuple(identity[item.task] for item in task.inputs)
        done = draft.memo.get("fingerprint", (task,), partial(_identified, draft.memo, task, identity), read)
        identity[task.id] = done.fingerprint
        tasks.append(done)
    return attrs.evolve(draft, tasks=tuple(tasks))


def _identified(memo: Memo, task: Task, identity: dict[str, str]) -> Task:
    return identified(task, identity, memo.get("encoded", (task.op,), partial(canonical.encode_operator, task.op)))


def identified(task: Task, identity: Mapping[str, str], encoded: bytes | None = None) -> Task:
    """The task with its names, which follow from its operator, encoded or not yet, and the names of what it reads."""
    encoded = encoded or canonical.encode_operator(task.op)
    fingerprint = canonical.task_fingerprint(task.op, encoded, task.by_role(identity))
    return attrs.evolve(task, fingerprint=fingerprint, operator=canonical.operator_digest(encoded))
