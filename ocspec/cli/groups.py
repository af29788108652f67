"""What is alike in a large difference, gathered: tasks of one step, changes of one place in many parts. Rendering only.

Where few tasks are touched each has its line. Where many are, those that do the same for the same reason share one, and
where that is not enough the reason counts less, then not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from compiler.diff import Change, TaskDiff
from ocspec.cli.changes import components

MOST_LINES = 24
T = TypeVar("T")


def gathered(items: Sequence[T], keys: Sequence[Callable[[T], Hashable]], most: int = MOST_LINES) -> list[list[T]]:
    """Groups of items with one key, in the order of their first; by the first of the keys that gives few groups.

    >>> gathered([1, 2, 3, 4, 5], [lambda n: n, lambda n: n % 2], most=3)
    [[1, 3, 5], [2, 4]]
    """
    groups: dict[Hashable, list[T]] = {}
    for key in keys:
        groups = {}
        for item in items:
            groups.setdefault(key(item), []).append(item)
        if len(groups) <= most:
            break
    return list(groups.values())


def task_groups(tasks: Sequence[TaskDiff], most: int = MOST_LINES) -> list[list[TaskDiff]]:
    """Tasks that a line can stand for: by step and action, and as far as there is room by their causes."""
    shapes: dict[str, str] = {}

    def cause(task: TaskDiff) -> str:
        if not task.causes:
            return ""
        path = task.causes[0].path
        return shapes.setdefault(path, shape(path)) if task.causes[0].in_spec else path

    def values(task: TaskDiff) -> str:
        return repr((task.causes[0].before, task.causes[0].after)) if task.causes else ""

    return gathered(
        tasks,
        [
            lambda task: task.id,
            lambda task: (step(task.id), task.action, cause(task), values(task)),
            lambda task: (step(task.id), task.action, cause(task)),
            lambda task: (step(task.id), task.action),
            lambda task: (step(task.id).partition("/")[0], task.action),
            lambda task: task.action,
        ],
        most,
    )


def step(task_id: str) -> str:
    """What a task does, whatever it does it for: all but the first part of its id, of which the last may be a name.

    >>> step("code/deduplicate/edges"), step("sft1/encode-functions"), step("tokenizer")
    ('deduplicate/edges', 'encode-*', 'tokenizer')
    """
    _, slash, rest = task_id.partition("/")
    verb, dash, _ = rest.partition("-")
    return (f"{verb}-*" if dash and verb in {"encode", "fetch"} else rest) if slash else task_id


def group_name(tasks: Sequence[TaskDiff]) -> str:
    """The id of a single task; of several what their ids have in common, and how many they are."""
    if len(tasks) == 1:
        return tasks[0].id
    steps = {step(task.id) for task in tasks}
    common = f"*/{next(iter(steps))}" if len(steps) == 1 else "*"
    return f"{common} ({len(tasks):,})"


def shape(path: str) -> str:
    """A path with `*` for the part of the experiment that it is in.

    >>> shape("data.code.steps.redact.pii"), shape("curriculum.stages.sft.seed"), shape("model.num_layers")
    ('data.*.steps.redact.pii', 'curriculum.stages.*.seed', 'model.num_layers')
    """
    for above in ("curriculum.stages.", "data.", "evaluations.", "instructions."):
        if path.startswith(above):
            _, dot, rest = path.removeprefix(above).partition(".")
            return f"{above}*{dot}{rest}"
    return path


def change_groups(
    changes: Sequence[Change], specs: Sequence[dict[str, Any]], most: int = MOST_LINES
) -> list[list[Change]]:
    """Changes that a line can stand for: of one place in many parts, with the same values or with any.

    Parts are the data sets, stages and evaluations at first, and then all that have names.
    """
    shapes = {change.path: shaped(change.path, specs) for change in changes} if len(changes) > most else {}

    def kind(change: Change) -> tuple[str, ...]:
        return change.kind, change.change_class

    def both(change: Change) -> str:
        return repr((change.before, change.after))

    return gathered(
        changes,
        [
            lambda change: change.path,
            lambda change: (*kind(change), shape(change.path), both(change)),
            lambda change: (*kind(change), shape(change.path)),
            lambda change: (*kind(change), shapes[change.path], both(change)),
            lambda change: (*kind(change), shapes[change.path]),
            lambda change: (*kind(change), shapes[change.path].partition(".")[0]),
        ],
        most,
    )


def place_name(changes: Sequence[Change], specs: Sequence[dict[str, Any]]) -> str:
    """The path of a single change; of several what their paths have in common, and how many they are."""
    if len(changes) == 1:
        return changes[0].path
    forms = {shape(change.path) for change in changes}, {shaped(change.path, specs) for change in changes}
    common = next((found.pop() for found in forms if len(found) == 1), f"{changes[0].path.partition('.')[0]}.*")
    return f"{common} ({len(changes):,})"


def shaped(path: str, specs: Sequence[dict[str, Any]]) -> str:
    """A change's path with `*` for every name that is the experiment's own, as its spec has it."""
    nodes: list[Any] = list(specs)
    parts = []
    for part in components(path, specs):
        keyed = any("keyed" in node or "map" in node for node in nodes)
        parts.append("*" if keyed and not part.endswith(")") else part)
        below = [node.get("fields") or node.get("keyed") or node.get("map") or {} for node in nodes]
        nodes = [one[part] for one in below if isinstance(one.get(part), dict)]
    return ".".join(parts)
