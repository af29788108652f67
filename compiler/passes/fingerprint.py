"""fingerprint: the identity of every task, from its operator and the identities of what it reads."""

from __future__ import annotations

from functools import partial

import attrs

from compiler import canonical
from compiler.draft import Draft
from compiler.memo import Memo
from compiler.plan import Task


def fingerprint(draft: Draft) -> Draft:
    """Fill in `preimage` and `fingerprint`; inputs enter by their own fingerprints."""
    identity: dict[str, str] = {}
    tasks: list[Task] = []
    for task in draft.tasks:
        read = tuple(identity[item.task] for item in task.inputs)
        done = draft.memo.get("fingerprint", (task,), partial(_identified, draft.memo, task, identity), read)
        identity[task.id] = done.fingerprint
        tasks.append(done)
    return attrs.evolve(draft, tasks=tuple(tasks))


def _identified(memo: Memo, task: Task, identity: dict[str, str]) -> Task:
    tree = memo.get("tree", (task.op,), partial(canonical.to_tree, task.op))
    preimage = canonical.task_preimage(task.op, by_role(task, identity), tree)
    return attrs.evolve(task, preimage=preimage, fingerprint=canonical.fingerprint(preimage))


def by_role(task: Task, identity: dict[str, str]) -> dict[str, list[str]]:
    """What a task reads: per role the identities of its inputs, in order."""
    roles: dict[str, list[str]] = {}
    for item in task.inputs:
        roles.setdefault(item.role, []).append(identity[item.task])
    return roles
