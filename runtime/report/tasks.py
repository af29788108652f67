"""Tasks as a report tells them: state, times, identity, from manifests and journal. Not their results."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from compiler.plan import Task
from runtime.report.built import Built
from runtime.report.facts import TaskFacts
from runtime.task import Artifact


def task_facts(task: Task, built: Built) -> TaskFacts:
    """One task, finished or not."""
    lane, _, label = task.id.partition("/")
    artifact = built.artifacts.get(task.id)
    known = TaskFacts(
        id=task.id,
        lane=lane,
        label=label or lane,
        op=task.op.op_id,
        status=built.status(task.id),
        shards=task.shards,
        upstream=task.upstream,
        fingerprint=task.fingerprint,
    )
    if artifact is None:
        return attrs.evolve(known, error=_error(task, built), progress=_progress(task, built))
    return attrs.evolve(known, **_measured(artifact), reused=_reused(task, built))


def versions(built: Built) -> tuple[tuple[dict[str, str], int], ...]:
    """The code that made the artefacts, and how many tasks each version made; most first."""
    found = Counter(json.dumps(a.manifest.get("code", {}), sort_keys=True) for a in built.artifacts.values())
    return tuple(
        (json.loads(text), count) for text, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    )


def hosts(built: Built) -> dict[str, int]:
    """The machines that ran shards, and how many each ran."""
    found = Counter(shard["host"] for a in built.artifacts.values() for shard in a.manifest["shards"])
    return dict(sorted(found.items()))


def _measured(artifact: Artifact) -> dict[str, Any]:
    """What a manifest says of times, memory and size."""
    shards, manifest = artifact.manifest["shards"], artifact.manifest
    began = min(shard["started"] for shard in shards)
    return {
        "digest": manifest["digest"],
        "started": began,
        "wall_seconds": max(shard["started"] + shard["seconds"] for shard in shards) - began,
        "cpu_seconds": sum(shard["cpu_seconds"] for shard in shards),
        "peak_memory_mb": max(shard["peak_memory_mb"] for shard in shards),
        "bytes_written": sum(output["bytes"] for output in manifest["outputs"].values()),
        "hosts": tuple(sorted({shard["host"] for shard in shards})),
    }


def _reused(task: Task, built: Built) -> bool:
    """Whether the runs of this plan found the artefact in the store instead of making it."""
    made = any(e["event"] in {"published", "finished"} and e.get("task") == task.id for e in built.events)
    return bool(built.events) and not made


def _error(task: Task, built: Built) -> str:
    mine = [event for event in built.events if event.get("task") == task.id]
    return str(mine[-1].get("error", "")) if mine and mine[-1]["event"] == "failed" else ""


def _progress(task: Task, built: Built) -> str:
    """How far the shards of a task that is not done have come, in their own unit."""
    name = task.id.replace("/", "--")
    read = [_read(built.directory / "progress" / f"{name}.{shard}.json") for shard in range(task.shards)]
    known = [line for line in read if line]
    if not known:
        return ""
    done, total = sum(line["done"] for line in known), sum(line["total"] for line in known)
    return f"{done:,} of {total:,} {known[0]['unit']}" if total else f"{done:,} {known[0]['unit']}"


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        line: Mapping[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return line if {"done", "total", "unit"} <= line.keys() else None
