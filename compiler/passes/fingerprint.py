"""fingerprint: the identity of every task, from its operator and the identities of what it reads."""

from __future__ import annotations

import attrs

from compiler import canonical
from compiler.draft import Draft
from compiler.plan import Task


def fingerprint(draft: Draft) -> Draft:
    """Fill in `preimage` and `fingerprint`; inputs enter by their own fingerprints."""
    identity: dict[str, str] = {}
    tasks: list[Task] = []
    for task in draft.tasks:
        preimage = canonical.task_preimage(task.op, by_role(task, identity))
        identity[task.id] = canonical.fingerprint(preimage)
        tasks.append(attrs.evolve(task, preimage=preimage, fingerprint=identity[task.id]))
    return attrs.evolve(draft, tasks=tuple(tasks))


def by_role(task: Task, identity: dict[str, str]) -> dict[str, list[str]]:
    """What a task reads: per role the identities of its inputs, in order."""
    roles: dict[str, list[str]] = {}
    for item in task.inputs:
        roles.setdefault(item.role, []).append(identity[item.task])
    return roles
