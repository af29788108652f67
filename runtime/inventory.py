"""The inventory: which artefacts a store holds, by the task that made them. A cache; the truth is the store itself.

A manifest is read once. What matters of it is noted in `inventory.json`, so that of thousands of artefacts only those
that came since are opened. An inventory that cannot be read is made anew, one that cannot be written is done without.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from typing import Any

import attrs

from compiler import canonical
from compiler.files import write_atomically
from runtime.store import MANIFEST, Store

FORMAT_VERSION = 1
FILE = "inventory.json"


@attrs.frozen(kw_only=True)
class Entry:
    """An artefact: who made it, when (seconds since the epoch), by which operator and out of which contents by role."""

    key: str
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
    known = _read(store)
    keys = _keys(store)
    new = {key: entry for key in keys - known.keys() if (entry := _look(store, key)) is not None}
    entries = {**{key: entry for key, entry in known.items() if key in keys}, **new}
    if entries.keys() != known.keys():
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


def operator_of(preimage: canonical.Tree) -> str:
    """Digest of the operator in a task's pre-image: equal for equal work, whatever it is done on."""
    return hashlib.sha256(canonical.encode(preimage[1])).hexdigest()


def _keys(store: Store) -> set[str]:
    try:
        return set(os.listdir(store.root / "artifacts"))
    except OSError:
        return set()


def _look(store: Store, key: str) -> Entry | None:
    """None for what is no artefact or was made by a version that noted other things."""
    manifest = manifest_of(store, key)
    try:
        assert manifest is not None
        return Entry(
            key=key,
            task=str(manifest["task"]),
            built=max((shard["started"] + shard["seconds"] for shard in manifest["shards"]), default=0.0),
            operator=operator_of(manifest["preimage"]),
            inputs={role: [one["digest"] for one in found] for role, found in manifest["inputs"].items()},
        )
    except (AssertionError, KeyError, TypeError, IndexError, AttributeError):
        return None


def _read(store: Store) -> dict[str, Entry]:
    try:
        noted = json.loads((store.root / FILE).read_text())
        if noted["format_version"] != FORMAT_VERSION:
            return {}
        return {key: Entry(key=key, **fields) for key, fields in noted["artifacts"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(store: Store, entries: dict[str, Entry]) -> None:
    plain = {key: attrs.asdict(entry) for key, entry in sorted(entries.items())}
    for fields in plain.values():
        del fields["key"]
    with suppress(OSError):  # somebody else's store: it is read all the same
        write_atomically(store.root / FILE, json.dumps({"format_version": FORMAT_VERSION, "artifacts": plain}) + "\n")
