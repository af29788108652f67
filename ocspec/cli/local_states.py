"""Where the shards of a plan stand by store and journal alone: of a run on this machine, that is all there is."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from compiler.plan import Plan, Task
from runtime.dispatch.slurm.states import ShardState
from runtime.store import Store
from runtime.worker import finished_shards

Event = Mapping[str, Any]


def local_states(plan: Plan, store: Store, events: Iterable[Event]) -> list[ShardState]:
    """The shards of a plan by store and journal alone: what waits counts as missing."""
    last = _last_events(events)
    return [state for task in plan.tasks for state in _task(task, plan, store, last)]


def _task(task: Task, plan: Plan, store: Store, last: Mapping[tuple[str, int], Event]) -> Iterable[ShardState]:
    done = finished_shards(plan, task, store)
    for shard in range(task.shards):
        if shard in done:
            yield ShardState(task_id=task.id, shard=shard, state="finished")
        else:
            yield _shard(task.id, shard, last.get((task.id, shard)))


def _shard(task_id: str, shard: int, event: Event | None) -> ShardState:
    state = ShardState(task_id=task_id, shard=shard, state="missing")
    kind = event["event"] if event else ""
    if event and kind == "started" and is_alive(event):
        return attrs.evolve(state, state="running", node=event.get("host", ""), since=event["time"])
    if event and kind == "failed":
        return attrs.evolve(state, state="failed", cause="error", detail=str(event["error"]), since=event["time"])
    return attrs.evolve(state, detail="interrupted") if kind in {"started", "interrupted"} else state


def _last_events(events: Iterable[Event]) -> dict[tuple[str, int], Event]:
    """The last event of each shard; a driver that ended takes what it left running with it."""
    last: dict[tuple[str, int], Event] = {}
    for event in events:
        if event["event"] in {"started", "finished", "failed", "interrupted"}:
            last[event["task"], event["shard"]] = event
        elif event["event"] in {"stopped", "ended"}:
            interrupted = {
                key: {**old, "event": "interrupted"} for key, old in last.items() if old["event"] == "started"
            }
            last.update(interrupted)
    return last


def is_driven(events: Iterable[Event]) -> bool:
    """Whether a local run goes on, or may yet be begun."""
    turns = [event for event in events if event["event"] in {"run", "stopped", "ended"}]
    return not turns or (turns[-1]["event"] == "run" and is_alive(turns[-1]))


def is_alive(event: Event) -> bool:
    """Whether the process that wrote an event still runs; one on another machine is believed to."""
    if event.get("host") != platform.node() or "pid" not in event:
        return True
    try:
        os.kill(event["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
