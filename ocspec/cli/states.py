"""Where every task of a plan stands: the store says what is finished, the journal what became of the rest.

It changes nothing, and asks no scheduler: what waits in a queue counts as missing.
"""

from __future__ import annotations

import os
import platform
from typing import Any, Literal

import attrs

from compiler.plan import Plan, Task
from runtime.journal import Journal
from runtime.store import Store

State = Literal["finished", "running", "failed", "missing"]


@attrs.frozen(kw_only=True)
class TaskState:
    """One task. `detail` is for people; `seconds` are those of its shards, added up."""

    task: Task
    state: State
    detail: str = ""
    seconds: float | None = None


def task_states(plan: Plan, journal: Journal, store: Store) -> list[TaskState]:
    """The state of every task, in the plan's order."""
    shards = _shards(journal.read())
    return [_state(task, shards.get(task.id, {}), store) for task in plan.tasks]


def _shards(events: list[dict[str, Any]]) -> dict[str, dict[int, dict[str, Any]]]:
    """The last event of each shard of each task; a driver that ended takes what it left running with it."""
    last: dict[str, dict[int, dict[str, Any]]] = {}
    for event in events:
        if event["event"] in {"started", "finished", "failed"}:
            last.setdefault(event["task"], {})[event["shard"]] = event
        elif event["event"] in {"stopped", "ended"}:
            for shards in last.values():
                for shard, old in shards.items():
                    if old["event"] == "started":
                        shards[shard] = {**old, "event": "interrupted"}
    return last


def _state(task: Task, shards: dict[int, dict[str, Any]], store: Store) -> TaskState:
    artifact = store.find(task.fingerprint)
    if artifact is not None:
        seconds = sum(timing["seconds"] for timing in artifact.manifest["shards"])
        return TaskState(task=task, state="finished", seconds=seconds)
    kinds = {shard: _kind(event) for shard, event in shards.items()}
    done = sum(kind == "finished" for kind in kinds.values())
    part = f"{done} of {task.shards} shards finished" if task.shards > 1 and done else ""
    if "running" in kinds.values():
        return TaskState(task=task, state="running", detail=part)
    failed = [event for shard, event in shards.items() if kinds[shard] == "failed"]
    if failed:
        return TaskState(task=task, state="failed", detail=str(failed[-1]["error"]))
    if "interrupted" in kinds.values():
        part = f"interrupted; {part}" if part else "interrupted"
    return TaskState(task=task, state="missing", detail=part)


def _kind(event: dict[str, Any]) -> str:
    if event["event"] != "started":
        return str(event["event"])
    return "running" if _alive(event) else "interrupted"


def _alive(event: dict[str, Any]) -> bool:
    """Whether the worker that wrote "started" still runs; one on another machine is believed to."""
    if event.get("host") != platform.node():
        return True
    try:
        os.kill(event["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
