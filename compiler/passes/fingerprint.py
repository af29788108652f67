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
    tree = memo.get("tree", (task.op,), partial(canonical.to_tree, task.op))
    return identified(task, tree, identity)


def identified(task: Task, tree: canonical.Tree, identity: Mapping[str, str]) -> Task:
    """The task with the names that follow from its operator's tree and the fingerprints of what it reads."""
    preimage = canonical.task_preimage(task.op, task.by_role(identity), tree)
    return attrs.evolve(task, fingerprint=canonical.fingerprint(preimage), operator=canonical.operator_digest(tree))
