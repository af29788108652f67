"""What each construct of the language becomes: a piece of a spec, then its tasks, as `id: operator <- inputs`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from compiler.plan import Plan, Task

CASES = "lowering"


def line(task: Task) -> str:
    """One task on one line; inputs that come under the same role stand together."""
    roles = groupby(task.inputs, key=lambda item: item.role)
    inputs = "; ".join(f"{role}={', '.join(item.task for item in items)}" for role, items in roles)
    shards = f" x{task.shards}" if task.shards > 1 else ""
    return f"{task.id}: {task.op.op_id}{shards}{f' <- {inputs}' if inputs else ''}\n"


def test_lowering(case, compiled: Callable[[str], Plan]) -> None:
    """The plan has these tasks, in this order."""
    case.check("".join(map(line, compiled(case.given).tasks)))
