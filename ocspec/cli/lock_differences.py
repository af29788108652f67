"""A lock as it is and as it should be, and how the difference looks. The comparison itself is `compiler.lock`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, Literal

import attrs

from compiler.compile import draft_of, plan_from
from compiler.errors import UserError
from compiler.files import write_atomically
from compiler.lock import SUFFIX, LockChange, digest, lock_changes, lock_file, read
from compiler.locking import lock, pins
from ocspec.cli.checking import severities
from ocspec.cli.output import plural, short_path
from ocspec.experiment import Experiment

State = Literal["unchanged", "changed", "missing", "left over"]
SYMBOLS = {"added": "+", "removed": "-", "changed": "~"}
TASK = "task:"
CATALOGUE = "catalogue:"
MOST_TASKS = 3
LEAST_WIDTH = 20


@attrs.frozen(kw_only=True)
class Lock:
    """The lock of one experiment: the text in its file, if any, and the one that the spec asks for, if any.

    `asked` is what stood on the command line: a file may stand for several experiments. `tasks` are those of the plan,
    each after all that it reads.
    """

    asked: str
    reference: str
    file: Path
    before: str | None
    after: str | None
    tasks: tuple[str, ...] = ()

    @property
    def changes(self) -> list[LockChange]:
        """The lines that differ."""
        return [] if self.before is None or self.after is None else lock_changes(self.before, self.after)

    @property
    def state(self) -> State:
        """What `--check` says of it; recorded versions make no difference."""
        if self.after is None:
            return "left over"
        if self.before is None:
            return "missing"
        return "changed" if self.changes else "unchanged"

    def write(self) -> None:
        """Bring the file to what the spec asks for; one that says so already stays as it is, its dates included."""
        if self.after is None or self.state == "unchanged":
            return
        try:
            write_atomically(self.file, self.after)
        except OSError as error:
            what = f"the lock cannot be written ({error.strerror})"
            raise UserError(what, where=str(self.file), fix="choose another --out") from None


def compare(asked: str, reference: str, experiment: Experiment, base: Path, directory: Path | None) -> Lock:
    """The lock of an experiment. Sources that cannot be seen from here are taken as the file knows them."""
    file = lock_file(reference, directory)
    before = read(file)
    known = pins(before or "", experiment, base, where=str(file))
    draft = draft_of(experiment, base, pins=known, severities=severities(announce=False))
    after = lock(draft, plan_from(draft))
    tasks = tuple(task.id for task in draft.tasks)
    return Lock(asked=asked, reference=reference, file=file, before=before, after=after, tasks=tasks)


def left_over(reference: str, used: Sequence[str], directory: Path | None) -> Iterator[Lock]:
    """Locks of a spec file's experiments that it no longer defines; not those of specs whose names begin as its own."""
    first = lock_file(reference, directory)
    wanted = {lock_file(name, directory) for name in used}
    for file in sorted({first, *first.parent.glob(f"{first.stem}.*{SUFFIX}")} - wanted):
        stem = file.name.removesuffix(SUFFIX)
        of_another = file != first and Path(reference).with_name(f"{stem}.py").is_file()
        if file.is_file() and stem.removeprefix(f"{first.stem}.").isidentifier() and not of_another:
            yield Lock(asked=reference, reference=reference, file=file, before=read(file), after=None)


def lines(lock: Lock, said: str, width: int) -> Iterator[str]:
    """What `ocspec lock` prints of one lock: what is `said` of it, and below it what differs."""
    yield f"{short_path(str(lock.file))}: {said}"
    changes = lock.changes
    for change, below in _tops([change for change in changes if not change.path.startswith(TASK)]):
        yield from _change(change, below, width)
    for line in _tasks([change for change in changes if change.path.startswith(TASK)], lock.tasks):
        yield from wrap(line, width, subsequent_indent=" " * 6, break_on_hyphens=False, break_long_words=False)


def _tops(changes: list[LockChange]) -> Iterator[tuple[LockChange, int]]:
    """Changes without those that go with another, and how many these are.

    Those below an object that is added or removed as a whole go with it, and so do the rules of a whole catalogue.
    """
    tops: list[tuple[LockChange, int]] = []
    for change in changes:
        top = tops[-1][0] if tops else None
        if top and change.kind == top.kind != "changed" and _goes_with(change.path, top.path):
            tops[-1] = (top, tops[-1][1] + 1)
        else:
            tops.append((change, 0))
    yield from tops


def _goes_with(path: str, top: str) -> bool:
    return path.startswith(f"{top}.") or (path.startswith(CATALOGUE) and top.startswith(CATALOGUE))


def _change(change: LockChange, below: int, width: int) -> Iterator[str]:
    """One line, or two where the terminal is narrow; a long value is cut, the file has all of it."""
    value = " -> ".join(side for side in (change.before, change.after) if side is not None)
    value += f" and {plural(below, 'more line')}" if below else ""
    head = f"  {SYMBOLS[change.kind]} {change.path}"
    if len(head) + 2 + len(value) <= width:
        yield f"{head}  {value}"
        return
    yield head
    space = max(LEAST_WIDTH, width - 6)
    if change.kind == "changed" and len(value) > space:
        yield f"      {_cut(change.before or '', space)}"
        value = f"-> {change.after}"
    yield f"      {_cut(value, space)}"


def _cut(text: str, space: int) -> str:
    return text if len(text) <= space else f"{text[: space - 3]}..."


def _tasks(changes: list[LockChange], tasks: tuple[str, ...]) -> Iterator[str]:
    """The tasks that are new, gone or other ones by their fingerprints, a line each: the first in the plan's order."""
    place = {task: number for number, task in enumerate(tasks)}
    for kind, said in (
        ("changed", f"of {plural(len(tasks), 'task')} with another fingerprint"),
        ("added", "new"),
        ("removed", "gone"),
    ):
        names = [change.path.removeprefix(TASK) for change in changes if change.kind == kind]
        names.sort(key=lambda name: place.get(name, 0))
        if names:
            count = f"{len(names)} {said}" if kind == "changed" else f"{plural(len(names), 'task')} {said}"
            more = f" and {len(names) - MOST_TASKS} more" if len(names) > MOST_TASKS else ""
            yield f"  {SYMBOLS[kind]} {count}: {', '.join(names[:MOST_TASKS])}{more}"


def facts(lock: Lock) -> dict[str, Any]:
    """A lock for --json; changes with every path."""
    return {
        "spec": lock.reference,
        "file": str(lock.file),
        "state": lock.state,
        "digest": digest(lock.after) if lock.after else None,
        "changes": [{"kind": change.kind, **attrs.asdict(change)} for change in lock.changes],
    }
