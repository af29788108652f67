"""diff: what differs between two plans, which tasks that touches, and because of what.

Two comparisons. Of the specs, as keyed trees: a source inserted into a mixture is one change, wherever it stands. Of
the tasks, by fingerprint. The bridge between them is a task's own pre-image: if the operator itself changed, the
changes below the task's places in the spec are its cause; if only its inputs changed, its cause is that of the task
upstream, and it may be cut off when the upstream task turns out to give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import attrs

from compiler.plan import Input, Plan, Task

ChangeKind = Literal["added", "removed", "changed"]
Action = Literal["reuse", "rebuild", "may cut off", "new", "removed"]


@attrs.frozen(kw_only=True)
class Change:
    """One difference between two specs. `change_class`: data, train, eval, execution or doc."""

    path: str
    kind: ChangeKind
    change_class: str
    before: Any = None
    after: Any = None


@attrs.frozen(kw_only=True)
class TaskDiff:
    """What a difference means for one task, and because of which changes."""

    id: str
    action: Action
    because: tuple[str, ...] = ()
    through: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class PlanDiff:
    """Changes of the spec, and every task of either plan."""

    changes: tuple[Change, ...]
    tasks: tuple[TaskDiff, ...]

    @property
    def differs(self) -> bool:
        """Whether anything at all differs."""
        return bool(self.changes) or any(task.action != "reuse" for task in self.tasks)

    def ids(self, *actions: Action) -> tuple[str, ...]:
        """Ids of the tasks with one of these actions."""
        return tuple(task.id for task in self.tasks if task.action in actions)


def diff_plans(before: Plan, after: Plan) -> PlanDiff:
    """What differs from `before` to `after`; tasks in the order of `after`, removed ones last."""
    changes = tuple(diff_specs(before.spec, after.spec))
    return PlanDiff(changes=changes, tasks=tuple(_tasks(before, after, changes)))


# ---------------------------------------------------------------- specs


def diff_specs(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    """The changes between two described specs (see `ocspec.base.describe`).

    The experiments' own names say which is which and are no difference.
    """
    return (change for change in _spec(before, after, "", "data") if change.path != "name")


def _spec(before: dict[str, Any], after: dict[str, Any], path: str, inherited: str) -> Iterator[Change]:
    change_class = after.get("class", inherited)
    if before["kind"] != after["kind"]:
        yield Change(path=path, kind="changed", change_class=change_class, before=_plain(before), after=_plain(after))
        return
    for name in sorted({*before["fields"], *after["fields"]}):
        field_class = after["roles"].get(name, change_class)
        old, new = before["fields"].get(name), after["fields"].get(name)
        yield from _value(old, new, f"{path}.{name}" if path else name, field_class)


def _value(before: Any, after: Any, path: str, change_class: str) -> Iterator[Change]:
    if _is_spec(before) and _is_spec(after):
        yield from _spec(before, after, path, change_class)
        return
    keyed = _entries(before), _entries(after)
    if keyed[0] is not None and keyed[1] is not None:
        yield from _keyed(keyed[0], keyed[1], path, change_class)
    elif before != after:
        yield Change(path=path, kind="changed", change_class=change_class, before=_plain(before), after=_plain(after))


def _keyed(before: dict[str, Any], after: dict[str, Any], path: str, change_class: str) -> Iterator[Change]:
    """Children by key: present on one side only is one change, in both a comparison; then their order."""
    for key in sorted({*before, *after}):
        place = f"{path}.{key}"
        if key not in before:
            own = _class_of(after[key], change_class)
            yield Change(path=place, kind="added", change_class=own, after=_plain(after[key]))
        elif key not in after:
            own = _class_of(before[key], change_class)
            yield Change(path=place, kind="removed", change_class=own, before=_plain(before[key]))
        else:
            yield from _value(before[key], after[key], place, change_class)
    common = [key for key in before if key in after], [key for key in after if key in before]
    if common[0] != common[1]:
        yield Change(
            path=f"{path} (order)",
            kind="changed",
            change_class=_class_of(after[common[1][0]], change_class),
            before=common[0],
            after=common[1],
        )


def _entries(value: Any) -> dict[str, Any] | None:
    """Keyed children of a field; an empty sequence has none of either kind."""
    if value == []:
        return {}
    if isinstance(value, dict):
        entries: dict[str, Any] | None = value.get("keyed", value.get("map"))
        return entries
    return None


def _is_spec(value: Any) -> bool:
    return isinstance(value, dict) and "kind" in value and "fields" in value


def _class_of(value: Any, inherited: str) -> str:
    return str(value.get("class", inherited)) if _is_spec(value) else inherited


def _plain(value: Any) -> Any:
    """A described value without its bookkeeping, for people and JSON."""
    if _is_spec(value):
        return {"kind": value["kind"], **{name: _plain(v) for name, v in value["fields"].items()}}
    entries = _entries(value) if value != [] else None
    if entries is not None:
        return {key: _plain(v) for key, v in entries.items()}
    return [_plain(v) for v in value] if isinstance(value, list) else value


# ---------------------------------------------------------------- tasks


def _tasks(before: Plan, after: Plan, changes: tuple[Change, ...]) -> Iterator[TaskDiff]:
    old = {task.id: task for task in before.tasks}
    known = {task.fingerprint for task in before.tasks}
    causes: dict[str, tuple[str, ...]] = {}
    only_inputs = _only_inputs(before, after)
    for task in after.tasks:
        if task.fingerprint in known:
            yield TaskDiff(id=task.id, action="reuse")
            continue
        through = tuple(upstream for upstream in task.upstream if upstream in causes)
        own = () if only_inputs(task) else tuple(change.path for change in _below(task, changes))
        inherited = tuple(dict.fromkeys(cause for upstream in through for cause in causes[upstream]))
        causes[task.id] = own or inherited
        if task.id not in old:
            action: Action = "new"
        else:
            action = "may cut off" if only_inputs(task) else "rebuild"
        yield TaskDiff(id=task.id, action=action, because=causes[task.id], through=() if own else through)
    yield from _removed(before, after, changes)


def _removed(before: Plan, after: Plan, changes: tuple[Change, ...]) -> Iterator[TaskDiff]:
    """Tasks of which `after` has neither the name nor, under another name, the fingerprint."""
    ids, known = {task.id for task in after.tasks}, {task.fingerprint for task in after.tasks}
    causes: dict[str, tuple[str, ...]] = {}
    for task in before.tasks:
        if task.id not in ids and task.fingerprint not in known:
            own = tuple(change.path for change in _below(task, changes))
            inherited = (cause for upstream in task.upstream for cause in causes.get(upstream, ()))
            causes[task.id] = own or tuple(dict.fromkeys(inherited))
            yield TaskDiff(id=task.id, action="removed", because=causes[task.id])


def _only_inputs(before: Plan, after: Plan) -> Callable[[Task], bool]:
    """A test: whether a task's operator is as before and on the same inputs, and only what those hold may differ.

    An input is the same under its name, or under another name if its fingerprint is.
    """
    old, new = ({task.id: task for task in plan.tasks} for plan in (before, after))

    def same(one: Input, other: Input) -> bool:
        known = one.task == other.task or old[one.task].fingerprint == new[other.task].fingerprint
        return one.role == other.role and known

    def only_inputs(task: Task) -> bool:
        was = old.get(task.id)
        if was is None or was.preimage[1] != task.preimage[1] or len(was.inputs) != len(task.inputs):
            return False
        return all(map(same, was.inputs, task.inputs))

    return only_inputs


def _below(task: Task, changes: tuple[Change, ...]) -> Iterator[Change]:
    """Semantic changes at, below or above the places in the spec that a task came from."""
    for change in changes:
        if change.change_class in {"execution", "doc"}:
            continue
        place = change.path.removesuffix(" (order)")
        if any(place == p or place.startswith(f"{p}.") or p.startswith(f"{place}.") for p in task.spec_paths):
            yield change


def to_json(diff: PlanDiff) -> dict[str, Any]:
    """The difference as versioned plain data."""
    return {"format_version": 1, "kind": "diff", **attrs.asdict(diff)}
