"""Facts: what an artefact's manifest tells of the work that made it, in the few numbers that estimates are made of.

They are noted in `facts.json`, as the inventory is, so that of thousands of artefacts none is opened for them again.
What follows from them is `runtime.calibration`'s. A manifest that lacks something, or has something else in its place,
tells nothing at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import attrs

from compiler.cost.calibration import Known
from runtime.inventory import Row, are_texts_by_role, noted
from runtime.store import Store

FORMAT_VERSION = 2
FILE = "facts.json"

Manifest = Mapping[str, Any]
ENVIRONMENT = ("log", "environment.json")

COUNT, NUMBER, TEXT = {int, type(None)}, {int, float, type(None)}, {str, type(None)}


COUNTED = tuple(field.name for field in attrs.fields(Known))


@attrs.frozen
class Facts:
    """Of one artefact: what `Known` counts, the task's fingerprint, and in how many shards on what it was made.

    `operator` is its operator's canonical tree, as JSON text: most are the same as another's. `inputs` are the keys of
    what it read, by role. `resumed_from_step` and `device` are of training: where it went on, and "cpu" or what CUDA
    calls the device; None where it did not say. `judged` are the documents that went in, where they were counted.
    """

    known: Known
    fingerprint: str
    operator: str
    shards: int
    cpus: int
    gpus: int
    nodes: int
    inputs: dict[str, list[str]]
    resumed_from_step: int | None = None
    device: str | None = None
    judged: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether everything has the type that it should have, and no amount is below nothing or without end."""
        known, counts = self.known, (self.shards, self.cpus, self.gpus, self.nodes)
        counted = (known.documents, known.text_bytes, known.tokens, self.resumed_from_step, self.judged)
        took = (known.bytes_written, known.seconds, known.cpu_seconds, known.peak_memory_mb)
        texts = {type(self.fingerprint), type(self.operator)}
        right = set(map(type, counts)) <= {int} and set(map(type, counted)) <= COUNT and set(map(type, took)) <= NUMBER
        if not right or texts != {str} or type(self.device) not in TEXT or not are_texts_by_role(self.inputs):
            return False
        return all(amount is None or 0 <= amount < math.inf for amount in (*counts, *counted, *took))


def facts(store: Store) -> dict[str, Facts]:
    """Of every artefact of a store that tells something, by its key; what is new is noted where it can be."""
    rows = noted(store, FILE, FORMAT_VERSION, _look, _is_whole)
    return {key: made for key, row in rows.items() if (made := _facts(row)) is not None}


def _look(store: Store, key: str, manifest: Row) -> Row:
    """Fields in their order: names would be most of the file."""
    found = facts_of(store, key, manifest)
    return {"facts": found and [*attrs.astuple(found.known), *attrs.astuple(found, recurse=False)[1:]]}


def _facts(row: Row) -> Facts | None:
    fields = row["facts"]
    return None if fields is None else Facts(Known(**dict(zip(COUNTED, fields, strict=False))), *fields[len(COUNTED) :])


def _is_whole(row: Row) -> bool:
    made = _facts(row)
    return made is None or made.is_whole


def facts_of(store: Store, key: str, manifest: Any) -> Facts | None:
    """What the manifest of that key tells; None where it does not have all that is read of every manifest."""
    try:
        asked = manifest["resources"]
        found = Facts(
            known=known_of(manifest),
            fingerprint=manifest["fingerprint"],
            operator=json.dumps(manifest["preimage"][1], separators=(",", ":")),
            shards=len(manifest["shards"]),
            **{name: asked[name] for name in ("cpus", "gpus", "nodes")},
            inputs={role: [item["key"] for item in items] for role, items in manifest["inputs"].items()},
            resumed_from_step=manifest["stats"].get("resumed_from_step"),
            device=device_said(store, key) if ENVIRONMENT[0] in manifest["outputs"] else None,
            judged=judged_in(manifest),
        )
        right = manifest["key"] == key and isinstance(manifest["digest"], str)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return found if right and found.is_whole else None


def judged_in(manifest: Manifest) -> int | None:
    """Documents that went in, where the manifest counts them."""
    counted = manifest["stats"].get("documents")
    count: int | None = (counted if isinstance(counted, dict) else manifest["stats"]).get("in")
    return count


def known_of(manifest: Manifest) -> Known:
    """What a manifest counts; logs, which differ from run to run, are no part of its bytes."""
    stats, shards = manifest["stats"], manifest["shards"]
    counted = stats.get("documents")
    if isinstance(counted, dict):  # where `kept` counts chunks
        documents = counted["kept"]
    else:
        documents = next((stats[name] for name in ("kept", "documents", "pairs", "samples") if name in stats), None)
    text = stats.get("bytes")
    return Known(
        documents=documents,
        text_bytes=sum(text.values()) if isinstance(text, dict) else text,
        tokens=stats.get("tokens"),
        bytes_written=sum(out["bytes"] for out in manifest["outputs"].values() if out["kind"] != "log"),
        seconds=max(shard["seconds"] for shard in shards),
        cpu_seconds=sum(shard["cpu_seconds"] for shard in shards),
        peak_memory_mb=max(shard["peak_memory_mb"] for shard in shards),
    )


def device_said(store: Store, key: str) -> str | None:
    """What a job says it trained on: "cpu", or the device's name as CUDA has it; None where it did not say."""
    try:
        said = json.loads(store.root.joinpath("artifacts", key, *ENVIRONMENT).read_text())
    except (OSError, ValueError):
        return None
    name = said.get("device") if said.get("device") == "cpu" else said.get("device_name")
    return name if isinstance(name, str) else None
