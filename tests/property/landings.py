"""Which tasks a field of the language must move, by landings.txt, and what two plans say of that.

The table is written by hand from what operators read; nothing in it is asked of the compiler's passes. Not the
mutations themselves (`specs`), and no compiling (`hosts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import attrs

from compiler.plan import Task

FILE = Path(__file__).with_name("landings.txt")
Tasks = Mapping[str, Task]
"""The tasks of an experiment by their ids."""


@attrs.frozen
class Place:
    """The tasks of an operator, both as patterns; `always`: every other value of the field makes them other tasks."""

    operator: str
    task: str
    always: bool

    @classmethod
    def read(cls, text: str) -> Place:
        """One word of the table."""
        operator, _, task = text.removesuffix("?").partition("@")
        return cls(operator, task or "*", not text.endswith("?"))

    def holds(self, task: Task, name: str) -> bool:
        """Whether a task, of that id, is one of them."""
        return fnmatchcase(task.op.op_id, self.operator) and fnmatchcase(name, self.task)


@cache
def table() -> tuple[tuple[str, tuple[Place, ...]], ...]:
    """The lines of the table: a pattern for `Kind.field`, and where that lands."""
    rows = []
    for line in FILE.read_text().splitlines():
        if line and not line.startswith("#"):
            fields, *places = line.split()
            kinds, _, field = fields.rpartition(".")
            rows += [(f"{kind}.{field}", tuple(map(Place.read, places))) for kind in kinds.split("/")]
    return tuple(rows)


def line_of(kind: str, field: str) -> int:
    """The number of the entry that counts for a field; KeyError where the table has none."""
    for number, (pattern, _) in enumerate(table()):
        if fnmatchcase(f"{kind}.{field}", pattern):
            return number
    raise KeyError(f"{kind}.{field}: say where it lands, in {FILE.name}")


def places(kind: str, fields: tuple[str, ...]) -> tuple[Place, ...]:
    """Where these fields of a kind land: what the table says of all together, or of each."""
    together = dict(table()).get(f"{kind}.{'+'.join(fields)}")
    return together or tuple(dict.fromkeys(place for field in fields for place in table()[line_of(kind, field)][1]))


# ---------------------------------------------------------------- verdicts


def stayed(before: Tasks, after: Tasks, landed: Iterable[Place]) -> Iterator[str]:
    """What should have moved and did not, in words: false reuse.

    A task at a place must be another in its own right. That one before it moved is no excuse: its key in a store goes
    by the content of its inputs, and they may come out as they were.
    """
    landed = tuple(landed)
    own, moved = changed(before, after), _moved(before, after)
    for place in (place for place in landed if place.always):
        there = [name for name in _ids(before, after) if _at(place, name, before, after)]
        yield from (f"{name} stayed as it was" for name in there if name not in own or name not in moved)
        if not there:
            yield f"no task is {place.operator} at {place.task}"
    if not reached(before, after, landed):
        yield "it landed nowhere"
    yield from (f"{name} reads what moved, and stayed" for name in sorted(_after(moved, before, after) - moved))


def strayed(before: Tasks, after: Tasks, landed: Iterable[Place]) -> Iterator[str]:
    """What moved though the field does not land there, nor anywhere before it, in words: a needless rebuild."""
    landed = tuple(landed)
    own = changed(before, after)
    meant = {name for name in own if any(_at(place, name, before, after) for place in landed)}
    yield from (f"{name} is another task, too" for name in sorted(own - meant))
    excused = meant | own | _after(meant, before, after)
    yield from (f"{name} moved, too" for name in sorted(_moved(before, after) - excused))


def reached(before: Tasks, after: Tasks, landed: Iterable[Place]) -> set[Place]:
    """Those of the places that have a task which is another in its own right."""
    own = changed(before, after)
    return {place for place in landed if any(_at(place, name, before, after) for name in own)}


def changed(before: Tasks, after: Tasks) -> set[str]:
    """Tasks that are others in their own right: by operator, by what they are given to read, or new, or gone."""
    both = before.keys() & after.keys()
    other = {name for name in both if _right(before[name]) != _right(after[name])}
    return other | (before.keys() ^ after.keys())


def _right(task: Task) -> object:
    """What a task is by itself, without the identity of what it reads."""
    read = task.by_role({item.task: item.task for item in task.inputs})
    return task.operator, {role: sorted(ids) if role in task.op.unordered else ids for role, ids in read.items()}


def _moved(before: Tasks, after: Tasks) -> set[str]:
    """Tasks of another fingerprint, new ones and those that are gone."""
    both = before.keys() & after.keys()
    return {name for name in both if before[name].fingerprint != after[name].fingerprint} | (
        before.keys() ^ after.keys()
    )


def _ids(before: Tasks, after: Tasks) -> list[str]:
    return sorted(before.keys() | after.keys())


def _at(place: Place, name: str, before: Tasks, after: Tasks) -> bool:
    return any(name in tasks and place.holds(tasks[name], name) for tasks in (before, after))


def _after(names: set[str], before: Tasks, after: Tasks) -> set[str]:
    """All that read these tasks, directly or not, in one plan or the other."""
    found: set[str] = set()
    todo = set(names)
    while todo:
        readers = {
            name for tasks in (before, after) for name, task in tasks.items() if not todo.isdisjoint(task.upstream)
        }
        todo = readers - found
        found |= readers
    return found


def renamed(tasks: Tasks, names: Mapping[str, str]) -> dict[str, Task]:
    """The tasks under the ids that they have where objects are called otherwise: new names of objects to old ones."""
    if not names:
        return dict(tasks)
    as_before = {name: _with_names(name, names) for name in tasks}
    return {
        as_before[name]: attrs.evolve(
            task, inputs=tuple(attrs.evolve(item, task=as_before[item.task]) for item in task.inputs)
        )
        for name, task in tasks.items()
    }


def _with_names(task: str, names: Mapping[str, str]) -> str:
    """An id, of which a step may be a verb and a name: encode-NAME."""
    steps = []
    for step in task.split("/"):
        verb, dash, name = step.partition("-")
        steps.append(names.get(step) or (f"{verb}-{names[name]}" if dash and name in names else step))
    return "/".join(steps)
