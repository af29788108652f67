"""diff: what differs between two plans, which tasks that touches, and because of what.

Two comparisons. Of the specs, as keyed trees: a source inserted into a mixture is one change, wherever it stands. Of
the tasks, by fingerprint. The bridge between them is a task's own pre-image: if the operator itself changed, the
changes below the task's places in the spec are its cause; if only its inputs changed, its cause is that of the task
upstream, and it may be cut off when the upstream task turns out to give the same bytes. Where the spec tells no cause,
such as of a file that was edited, the pre-images do. What it costs is `compiler.diff_cost`'s.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal

import attrs

from compiler.canonical import differences
from compiler.plan import Input, Plan, Task

ChangeKind = Literal["added", "removed", "changed"]
Action = Literal["reuse", "rebuild", "may cut off", "new", "removed"]
ORDER = " (order)"


@attrs.frozen(kw_only=True)
class Change:
    """One difference between two specs. `change_class`: data, train, eval, execution or doc."""

    path: str
    kind: ChangeKind
    change_class: str
    before: Any = None
    after: Any = None


@attrs.frozen(kw_only=True)
class Cause:
    """A difference that makes a task another: in the spec at `path`, or else at `path` in the pre-image of `task`.

    `task` is the one that differs by itself because of it.
    """

    task: str
    path: str
    kind: ChangeKind = "changed"
    before: Any = None
    after: Any = None
    in_spec: bool = True


@attrs.frozen(kw_only=True)
class TaskDiff:
    """What a difference means for one task, and because of what.

    `causes` are the spec's own for it or, if there are none, what no spec tells, such as that a file was edited, before
    those of the tasks that it reads, `through`. `earliest` is the first task of the plan from which a difference
    reaches this one; it may be this one.
    """

    id: str
    action: Action
    causes: tuple[Cause, ...] = ()
    through: tuple[str, ...] = ()
    earliest: str = ""

    @property
    def because(self) -> tuple[str, ...]:
        """The changes of the spec among its causes, by path, each once."""
        return tuple(dict.fromkeys(cause.path for cause in self.causes if cause.in_spec))


@attrs.frozen(kw_only=True)
class PlanDiff:
    """Changes of the spec, and every task of either plan. `ignored` changes are left out of `changes` (`without`)."""

    changes: tuple[Change, ...]
    tasks: tuple[TaskDiff, ...]
    ignored: tuple[Change, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether anything at all differs."""
        return bool(self.changes) or any(task.action != "reuse" for task in self.tasks)

    def ids(self, *actions: Action) -> tuple[str, ...]:
        """Ids of the tasks with one of these actions."""
        return tuple(task.id for task in self.tasks if task.action in actions)

    def without(self, patterns: Iterable[str]) -> PlanDiff:
        """The same without the changes whose path, or an end of it, one of the shell patterns matches.

        What they mean for tasks stays: a task that is another has to be built, whoever looks.

        >>> note = Change(path="curriculum.stages.base.note", kind="changed", change_class="doc")
        >>> PlanDiff(changes=(note,), tasks=()).without(["stages.*.note"]).differs
        False
        """
        globs = list(patterns)
        kept: list[Change] = []
        ignored = [*self.ignored]
        for one in self.changes:
            (ignored if any(fits(pattern, one.path) for pattern in globs) else kept).append(one)
        return attrs.evolve(self, changes=tuple(kept), ignored=tuple(ignored))


def fits(pattern: str, path: str) -> bool:
    """Whether a shell pattern matches a path, or an end of it. Its `*` stands for dots, too.

    >>> [fits("stages.*.note", path) for path in ("curriculum.stages.base.note", "curriculum.stages.note")]
    [True, False]
    """
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"*.{pattern}")


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


def places(spec: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Every place of a described spec at which a change can be, by the parts of its path; orders of children, too."""
    return _below(spec, ())


def _below(value: Any, parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    below = value["fields"] if _is_spec(value) else _entries(value) or {}
    if parts and len(below) > 1 and not _is_spec(value):
        yield (*parts[:-1], f"{parts[-1]}{ORDER}")
    for name, one in below.items():
        yield (*parts, name)
        yield from _below(one, (*parts, name))


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
            path=f"{path}{ORDER}",
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
    known = {task.fingerprint for task in before.tasks}
    order = {task.id: number for number, task in enumerate(after.tasks)}
    found: dict[str, TaskDiff] = {}
    only_inputs, below, union = _only_inputs(before, after), _Places(_semantic(changes)), _Union()
    by_preimage = partial(_by_preimage, before, after)
    beside = _Places([change for change in changes if change.change_class == "execution"])
    for task in after.tasks:
        if task.fingerprint in known:
            yield TaskDiff(id=task.id, action="reuse")
            continue
        through = tuple(upstream for upstream in task.upstream if upstream in found)
        same = only_inputs(task)
        own = () if same else below.causes(task)
        causes = own or union.of([found[upstream].causes for upstream in through])
        if not own and not same:
            untold = _untold(by_preimage(task), causes)
            causes = (*beside.causes(task), *untold, *causes) if untold else causes
        if not causes and not same:
            causes = own = by_preimage(task)
        early = [found[upstream].earliest for upstream in through]
        found[task.id] = TaskDiff(
            id=task.id,
            action="new" if before.find(task.id) is None else "may cut off" if same else "rebuild",
            causes=causes,
            through=() if own else through,
            earliest=min(early, key=lambda one: order[one]) if early else task.id,
        )
        yield found[task.id]
    yield from _removed(before, after, below, union)


def _removed(before: Plan, after: Plan, below: _Places, union: _Union) -> Iterator[TaskDiff]:
    """Tasks of which `after` has neither the name nor, under another name, the fingerprint."""
    ids, known = {task.id for task in after.tasks}, {task.fingerprint for task in after.tasks}
    causes: dict[str, tuple[Cause, ...]] = {}
    for task in before.tasks:
        if task.id not in ids and task.fingerprint not in known:
            inherited = [causes[upstream] for upstream in task.upstream if upstream in causes]
            causes[task.id] = below.causes(task) or union.of(inherited)
            yield TaskDiff(id=task.id, action="removed", causes=causes[task.id], earliest=task.id)


def _only_inputs(before: Plan, after: Plan) -> Callable[[Task], bool]:
    """A test: whether a task's operator is as before and on the same inputs, and only what those hold may differ.

    An input is the same under its name, or under another name if its fingerprint is. Of roles without an order those of
    one name are compared.
    """

    def same(one: Input, other: Input) -> bool:
        known = one.task == other.task or before.task(one.task).fingerprint == after.task(other.task).fingerprint
        return one.role == other.role and known

    def only_inputs(task: Task) -> bool:
        was = before.find(task.id)
        if was is None or was.operator != task.operator or len(was.inputs) != len(task.inputs):
            return False
        return all(map(same, _in_order(was), _in_order(task)))

    return only_inputs


def _in_order(task: Task) -> list[Input]:
    """A task's inputs by role; those of a role without an order by their tasks."""
    return sorted(task.inputs, key=lambda one: (one.role, one.task if one.role in task.op.unordered else ""))


def _by_preimage(before: Plan, after: Plan, task: Task) -> tuple[Cause, ...]:
    """What differs in the operator, or in what is read, where the spec tells nothing."""
    was = before.find(task.id)
    if was is None:
        return ()
    (_, old, old_inputs), (_, new, new_inputs) = before.preimage(was), after.preimage(task)
    found = differences(old, new) or differences(old_inputs, new_inputs, "inputs")
    return tuple(
        Cause(task=task.id, path=path, before=before, after=after, in_spec=False) for path, before, after in found
    )


def _untold(by_preimage: Sequence[Cause], inherited: Sequence[Cause]) -> tuple[Cause, ...]:
    """What differs in a task itself and follows from no change of a spec upstream: its files, its operator's version.

    Other fields may follow from one, as the rate that an anneal starts at. What its inputs bring is not told again.
    """
    known = [(cause.before, cause.after) for cause in inherited]
    return tuple(
        cause
        for cause in by_preimage
        if cause.path == "kind" or cause.path.rpartition(".")[2] == "digest"
        if (cause.before, cause.after) not in known
    )


def _semantic(changes: Sequence[Change]) -> list[Change]:
    return [change for change in changes if change.change_class not in {"execution", "doc"}]


class _Places:
    """Changes by their places, so that those of one task are found without looking at all."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes
        places = [(change.path.removesuffix(ORDER), number) for number, change in enumerate(self._changes)]
        self._sorted = sorted(places)
        self._at: dict[str, list[int]] = {}
        for place, number in places:
            self._at.setdefault(place, []).append(number)

    def causes(self, task: Task) -> tuple[Cause, ...]:
        """Changes at, below or above the places in the spec that a task came from."""
        numbers = sorted({number for path in task.spec_paths for number in self._near(path)})
        found = (self._changes[number] for number in numbers)
        return tuple(
            Cause(task=task.id, path=one.path, kind=one.kind, before=one.before, after=one.after) for one in found
        )

    def _near(self, path: str) -> Iterator[int]:
        parts = path.split(".")
        for count in range(1, len(parts) + 1):
            yield from self._at.get(".".join(parts[:count]), ())
        start = bisect_left(self._sorted, (f"{path}.", -1))
        end = bisect_left(self._sorted, (f"{path}/", -1))  # the character after the dot
        yield from (number for _, number in self._sorted[start:end])


class _Union:
    """Causes of several tasks together, each path once. The same tasks together give the very same tuple."""

    def __init__(self) -> None:
        self._known: dict[frozenset[int], tuple[Cause, ...]] = {}
        self._kept: list[tuple[Cause, ...]] = []  # an id is only good while its object lives

    def of(self, groups: Sequence[tuple[Cause, ...]]) -> tuple[Cause, ...]:
        """Their causes, those of the first first."""
        distinct = {id(group): group for group in groups if group}
        if len(distinct) < 2:
            return next(iter(distinct.values()), ())
        key = frozenset(distinct)
        if key not in self._known:
            first: dict[tuple[str, bool, str], Cause] = {}
            for cause in (cause for group in distinct.values() for cause in group):
                first.setdefault((cause.path, cause.in_spec, "" if cause.in_spec else cause.task), cause)
            self._known[key] = tuple(first.values())
            self._kept += distinct.values()
        return self._known[key]


def to_json(diff: PlanDiff) -> dict[str, Any]:
    """The difference as versioned plain data. Causes stand once, under the task that differs by itself."""
    own = {task.id: [cause for cause in task.causes if cause.task == task.id] for task in diff.tasks}
    return {
        "format_version": 1,
        "kind": "diff",
        "changes": [attrs.asdict(change, recurse=False) for change in diff.changes],
        "ignored": len(diff.ignored),
        "causes": {
            task: [attrs.asdict(cause, recurse=False, filter=attrs.filters.exclude("task")) for cause in causes]
            for task, causes in own.items()
            if causes
        },
        "tasks": [
            {
                "id": task.id,
                "action": task.action,
                "because": list(task.because),
                "caused_by": list(dict.fromkeys(cause.task for cause in task.causes)),
                "through": list(task.through),
                "earliest": task.earliest or None,
            }
            for task in diff.tasks
        ],
    }
