"""The inventory: which artefacts a store holds, by the task that made them. A cache; the truth is the store itself.

A manifest is read once. What matters of it is noted in `inventory.json`, so that of thousands of artefacts only those
that came or were built again since are opened. An inventory that cannot be read is made anew, and one that cannot be
written is done without. `noted` does this for any file of that kind: `runtime.facts` has another, for estimates.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
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


FIELDS = frozenset(field.name for field in attrs.fields(Entry)) - {"key"}


@attrs.frozen
class Inventory:
    """The artefacts of a store by task, the latest first."""

    by_task: dict[str, tuple[Entry, ...]]

    def of(self, task_id: str) -> tuple[Entry, ...]:
        """What a task of that name made, the latest first."""
        return self.by_task.get(task_id, ())


def inventory(store: Store) -> Inventory:
    """What is in the store; notes what is new in it where there is a store and it can be written."""
    by_task: dict[str, list[Entry]] = {}
    entries = (Entry(key=key, **row) for key, row in noted(store, FILE, FORMAT_VERSION, _look, _is_whole).items())
    for entry in sorted(entries, key=lambda entry: (-entry.built, entry.key)):
        by_task.setdefault(entry.task, []).append(entry)
    return Inventory({task: tuple(found) for task, found in by_task.items()})


Row = dict[str, Any]
"""What is noted of an artefact, as JSON has it; `written` with it."""


def noted(
    store: Store,
    file: str,
    version: int,
    look: Callable[[Store, str, Row], Row | None],
    is_whole: Callable[[Row], bool],
) -> dict[str, Row]:
    """A row for each artefact by its key, out of a file of the store; `look` makes those that it does not have.

    `look` has the manifest, and returns None for what is none that it knows; such are looked at each time. The file is
    made anew where it is of another version, or where one of its rows is not whole.
    """
    known, rows = _read(store.root / file, version, is_whole), {}
    for key, written in _manifests(store).items():
        row = known.get(key)
        if row is None or row["written"] != written:
            manifest = manifest_of(store, key)
            told = None if manifest is None else look(store, key, manifest)
            row = None if told is None else {"written": written, **told}
        if row is not None:
            rows[key] = row
    if rows != known:
        _write(store.root / file, version, rows)
    return rows


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


def _look(_: Store, key: str, manifest: Row) -> Row | None:
    """None for what was made by a version that noted other things."""
    try:
        return {
            "task": str(manifest["task"]),
            "built": max((shard["started"] + shard["seconds"] for shard in manifest["shards"]), default=0.0),
            "operator": canonical.operator_digest(canonical.encode(manifest["preimage"][1])),
            "inputs": {role: [one["digest"] for one in found] for role, found in manifest["inputs"].items()},
        }
    except (AttributeError, LookupError, TypeError, ValueError):
        return None


def _read(file: Path, version: int, is_whole: Callable[[Row], bool]) -> dict[str, Row]:
    try:
        read = json.loads(file.read_text())
        found: dict[str, Row] = read["artifacts"] if read["format_version"] == version else {}
        whole = all(type(row["written"]) is int and is_whole(row) for row in found.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return {}
    return found if whole else {}


def _is_whole(row: Row) -> bool:
    """Whether what was read has the types that it was written with."""
    texts = type(row["task"]) is str and type(row["operator"]) is str
    return texts and type(row["built"]) in {int, float} and are_texts_by_role(row["inputs"]) and row.keys() == FIELDS


def are_texts_by_role(value: object) -> bool:
    """Whether it is a mapping to lists of texts."""
    if not isinstance(value, dict) or not all(type(one) is list for one in value.values()):
        return False
    return {type(text) for one in value.values() for text in one} <= {str}


def _write(file: Path, version: int, rows: Mapping[str, Row]) -> None:
    with suppress(OSError):  # somebody else's store: it is read all the same
        write_atomically(file, json.dumps({"format_version": version, "artifacts": dict(sorted(rows.items()))}) + "\n")
