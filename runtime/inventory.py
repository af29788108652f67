"""The inventory: which artefacts a store holds, by the task that made them. A cache; the truth is the store itself.

A manifest is read once. What matters of it is noted in `inventory.json`, so that of thousands of artefacts only those
that came or were built again since are opened. An inventory that cannot be read is made anew, and one that cannot be
written is done without.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any

import attrs

from compiler import canonical
from compiler.files import write_atomically
from runtime.store import MANIFEST, Store

FORMAT_VERSION = 2
FILE = "inventory.json"


@attrs.frozen(kw_only=True)
class Entry:
    """An artefact: who made it, when (seconds since the epoch), by which operator and out of which contents by role.

    `written` is when its manifest was, in nanoseconds: one that is built again has another.
    """

    key: str
    written: int
    task: str
    built: float
    operator: str
    inputs: dict[str, list[str]]


@attrs.frozen
class Inventory:
    """The artefacts of a store by task, the latest first."""

    by_task: dict[str, tuple[Entry, ...]]

    def of(self, task_id: str) -> tuple[Entry, ...]:
        """What a task of that name made, the latest first."""
        return self.by_task.get(task_id, ())


def inventory(store: Store) -> Inventory:
    """What is in the store; notes what is new in it where there is a store and it can be written."""
    known, entries = _read(store), {}
    for key, written in _manifests(store).items():
        noted = known.get(key)
        entry = noted if noted and noted.written == written else _look(store, key, written)
        if entry is not None:
            entries[key] = entry
    if entries != known:
        _write(store, entries)
    by_task: dict[str, list[Entry]] = {}
    for entry in sorted(entries.values(), key=lambda entry: (-entry.built, entry.key)):
        by_task.setdefault(entry.task, []).append(entry)
    return Inventory({task: tuple(found) for task, found in by_task.items()})


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


def _look(store: Store, key: str, written: int) -> Entry | None:
    """None for what is no artefact or was made by a version that noted other things."""
    manifest = manifest_of(store, key)
    try:
        assert manifest is not None
        return Entry(
            key=key,
            written=written,
            task=str(manifest["task"]),
            built=max((shard["started"] + shard["seconds"] for shard in manifest["shards"]), default=0.0),
            operator=canonical.operator_digest(manifest["preimage"][1]),
            inputs={role: [one["digest"] for one in found] for role, found in manifest["inputs"].items()},
        )
    except (AssertionError, KeyError, TypeError, IndexError, AttributeError):
        return None


def _read(store: Store) -> dict[str, Entry]:
    try:
        noted = json.loads((store.root / FILE).read_text())
        if noted["format_version"] != FORMAT_VERSION:
            return {}
        found = {key: Entry(key=key, **fields) for key, fields in noted["artifacts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return found if all(map(_is_whole, found.values())) else {}


def _is_whole(entry: Entry) -> bool:
    """Whether what was read has the types that it was written with."""
    texts = isinstance(entry.task, str) and isinstance(entry.operator, str)
    numbers = type(entry.written) is int and type(entry.built) in {int, float}
    return texts and numbers and isinstance(entry.inputs, dict) and all(map(_are_texts, entry.inputs.values()))


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _write(store: Store, entries: dict[str, Entry]) -> None:
    plain = {key: attrs.asdict(entry) for key, entry in sorted(entries.items())}
    for fields in plain.values():
        del fields["key"]
    with suppress(OSError):  # somebody else's store: it is read all the same
        write_atomically(store.root / FILE, json.dumps({"format_version": FORMAT_VERSION, "artifacts": plain}) + "\n")
