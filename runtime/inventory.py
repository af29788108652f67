"""The inventory: which artefacts a store holds, by the task that made them. A cache; the truth is the store itself.

A manifest is read once. What matters of it is noted in `inventory.json`, so that of thousands of artefacts only those
that came or were built again since are opened: who made it and of what, for the reasons of a plan, and what it took,
for estimates. An operator stands there once, however many artefacts it made. An inventory that cannot be read is made
anew, and one that cannot be written is done without.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import attrs

from compiler import canonical
from compiler.cost.calibration import Known
from compiler.files import write_atomically
from runtime.facts import Facts, are_texts_by_role, facts_of
from runtime.store import MANIFEST, Store

FORMAT_VERSION = 3
FILE = "inventory.json"


@attrs.frozen(kw_only=True)
class Entry:
    """An artefact: who made it, when (seconds since the epoch), by which operator and out of which contents by role.

    `written` is when its manifest was, in nanoseconds: one that is built again has another. `facts` are None where it
    tells nothing of what it took.
    """

    key: str
    written: int
    task: str
    built: float
    operator: str
    inputs: dict[str, list[str]]
    facts: Facts | None = None


@attrs.frozen
class Inventory:
    """The artefacts of a store by task, the latest first; and the trees of all their operators, by digest."""

    by_task: dict[str, tuple[Entry, ...]]
    operators: dict[str, canonical.Tree]

    def of(self, task_id: str) -> tuple[Entry, ...]:
        """What a task of that name made, the latest first."""
        return self.by_task.get(task_id, ())

    def entries(self) -> Iterator[Entry]:
        """All of them."""
        return chain.from_iterable(self.by_task.values())


def inventory(store: Store) -> Inventory:
    """What is in the store; notes what is new in it where there is a store and it can be written."""
    known, trees = _read(store)
    entries = {}
    for key, written in _manifests(store).items():
        noted = known.get(key)
        entry = noted if noted and noted.written == written else _look(store, key, written, trees)
        if entry is not None:
            entries[key] = entry
    operators = {entry.operator: trees[entry.operator] for entry in entries.values()}
    if entries != known:
        _write(store, entries, operators)
    by_task: dict[str, list[Entry]] = {}
    for entry in sorted(entries.values(), key=lambda entry: (-entry.built, entry.key)):
        by_task.setdefault(entry.task, []).append(entry)
    return Inventory({task: tuple(found) for task, found in by_task.items()}, operators)


def manifest_of(store: Store, key: str) -> dict[str, Any] | None:
    """What stands beside an artefact, or None where it cannot be read; whether its files are whole is not looked at."""
    try:
        found = json.loads((store.root / "artifacts" / key / MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _manifests(store: Store) -> dict[str, int]:
    """When the manifest of each artefact was written, by key."""
    found = {}
    with suppress(OSError):
        for key in os.listdir(store.root / "artifacts"):
            with suppress(OSError):  # no artefact, or gone by now
                found[key] = (store.root / "artifacts" / key / MANIFEST).stat().st_mtime_ns
    return found


def _look(store: Store, key: str, written: int, trees: dict[str, canonical.Tree]) -> Entry | None:
    """None for what is no artefact or was made by a version that noted other things. Its operator goes to the trees."""
    manifest = manifest_of(store, key)
    try:
        assert manifest is not None
        tree = manifest["preimage"][1]
        entry = Entry(
            key=key,
            written=written,
            task=str(manifest["task"]),
            built=max((shard["started"] + shard["seconds"] for shard in manifest["shards"]), default=0.0),
            operator=canonical.operator_digest(canonical.encode(tree)),
            inputs={role: [one["digest"] for one in found] for role, found in manifest["inputs"].items()},
            facts=facts_of(store, key, manifest),
        )
    except (AssertionError, KeyError, TypeError, IndexError, AttributeError):
        return None
    trees[entry.operator] = tree
    return entry


def _read(store: Store) -> tuple[dict[str, Entry], dict[str, canonical.Tree]]:
    """What was noted: artefacts by key, operators by digest."""
    file = store.root / FILE
    try:
        state = file.stat()
    except OSError:
        return {}, {}
    entries, trees = _noted(file, state.st_ino, state.st_mtime_ns)
    return dict(entries), dict(trees)


@lru_cache(maxsize=1)  # a plan is reasoned about and estimated in turn: the file is replaced, never changed
def _noted(file: Path, _inode: int, _written: int) -> tuple[dict[str, Entry], dict[str, canonical.Tree]]:
    try:
        noted = json.loads(file.read_text())
        if noted["format_version"] != FORMAT_VERSION:
            return {}, {}
        trees = dict(noted["operators"])
        found = {key: _entry(key, **fields) for key, fields in noted["artifacts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}, {}
    whole = all(_is_whole(entry) and entry.operator in trees for entry in found.values())
    return (found, trees) if whole else ({}, {})


def _entry(key: str, facts: Any = None, **fields: Any) -> Entry:
    if facts is not None:
        facts = Facts(**{**facts, "known": Known(**facts["known"])})
    return Entry(key=key, facts=facts, **fields)


def _is_whole(entry: Entry) -> bool:
    """Whether what was read has the types that it was written with."""
    texts = isinstance(entry.task, str) and isinstance(entry.operator, str)
    numbers = type(entry.written) is int and type(entry.built) in {int, float}
    return texts and numbers and are_texts_by_role(entry.inputs) and (entry.facts is None or entry.facts.is_whole)


def _write(store: Store, entries: dict[str, Entry], operators: dict[str, canonical.Tree]) -> None:
    plain = {key: attrs.asdict(entry, filter=_is_told) for key, entry in sorted(entries.items())}
    noted = {"format_version": FORMAT_VERSION, "operators": dict(sorted(operators.items())), "artifacts": plain}
    with suppress(OSError):  # somebody else's store: it is read all the same
        write_atomically(store.root / FILE, json.dumps(noted) + "\n")


def _is_told(attribute: attrs.Attribute[Any], value: Any) -> bool:
    return attribute.name != "key" and value is not None
