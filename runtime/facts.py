"""Facts: what an artefact's manifest tells of the work that made it, in the few numbers that estimates are made of.

They are noted in the inventory, so that of thousands of artefacts none is opened for them again. What follows from them
is `runtime.calibration`'s. A manifest that lacks something, or has something else in its place, tells nothing at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from compiler.cost.calibration import Known
from runtime.store import Store

Manifest = Mapping[str, Any]
ENVIRONMENT = ("log", "environment.json")

COUNT, NUMBER, TEXT = {int, type(None)}, {int, float, type(None)}, {str, type(None)}


@attrs.frozen(kw_only=True)
class Facts:
    """Of one artefact: the task's fingerprint, what `Known` counts, and in how many shards on what it was made.

    `inputs` are the keys of what it read, by role. `resumed_from_step` and `device` are of training: where it went on,
    and "cpu" or what CUDA calls the device; None where it did not say.
    """

    fingerprint: str
    known: Known
    shards: int
    cpus: int
    gpus: int
    nodes: int
    inputs: dict[str, list[str]]
    resumed_from_step: int | None = None
    device: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether everything has the type that it should have."""
        known, counts = self.known, {type(one) for one in (self.shards, self.cpus, self.gpus, self.nodes)}
        counted = {type(one) for one in (known.documents, known.text_bytes, known.tokens, self.resumed_from_step)}
        took = {type(one) for one in (known.bytes_written, known.seconds, known.cpu_seconds, known.peak_memory_mb)}
        texts = {type(self.fingerprint), type(self.device)}
        return (
            (counts <= {int} and counted <= COUNT and took <= NUMBER and texts <= TEXT)
            and type(self.fingerprint) is str
            and are_texts_by_role(self.inputs)
        )


def are_texts_by_role(value: object) -> bool:
    """Whether it is a mapping to lists of texts."""
    if not isinstance(value, dict) or not all(type(one) is list for one in value.values()):
        return False
    return {type(text) for one in value.values() for text in one} <= {str}


def facts_of(store: Store, key: str, manifest: Any) -> Facts | None:
    """What the manifest of that key tells; None where it does not have all that is read of every manifest."""
    try:
        asked = manifest["resources"]
        found = Facts(
            fingerprint=manifest["fingerprint"],
            known=known_of(manifest),
            shards=len(manifest["shards"]),
            **{name: asked[name] for name in ("cpus", "gpus", "nodes")},
            inputs={role: [item["key"] for item in items] for role, items in manifest["inputs"].items()},
            resumed_from_step=manifest["stats"].get("resumed_from_step"),
            device=device_said(store, key) if ENVIRONMENT[0] in manifest["outputs"] else None,
        )
        right = manifest["key"] == key and isinstance(manifest["digest"], str)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return found if right and found.is_whole else None


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
