"""How long a task will still take, where that can be told: from progress, from finished shards, else from the plan."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compiler.plan import Task
from runtime.dispatch.slurm.states import ShardState

Event = Mapping[str, Any]
History = Mapping[int, Sequence[Event]]
"""What the journal tells of each shard of a task."""


def histories(events: Iterable[Event]) -> dict[str, dict[int, list[Event]]]:
    """The events that are about a shard, by task and shard."""
    found: dict[str, dict[int, list[Event]]] = {}
    for event in events:
        if "task" in event and "shard" in event:
            found.setdefault(event["task"], {}).setdefault(event["shard"], []).append(event)
    return found


def report(run_dir: Path, task_id: str, shard: int, since: float) -> dict[str, Any] | None:
    """What a running shard says of its progress: `done`, `total`, `unit`; None where an earlier attempt said it."""
    file = run_dir / "progress" / f"{task_id.replace('/', '--')}.{shard}.json"
    try:
        if file.stat().st_mtime < since - 1:
            return None
        found: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"done", "total", "unit"} <= found.keys() else None


def seconds_left(task: Task, shards: Sequence[ShardState], run_dir: Path, history: History, now: float) -> float | None:
    """Seconds until the last shard of a task ends, if as many jobs go on running as do now; None if nobody can tell."""
    whole = _whole_shard(task, history)
    jobs: dict[str, list[ShardState]] = {}
    for shard in shards:
        if shard.state == "running" and shard.since is not None:
            jobs.setdefault(shard.job_id or f"shard {shard.shard}", []).append(shard)
    left = [_job_left(job, whole, run_dir, history, now) for job in jobs.values()]
    known = [seconds for seconds in left if seconds is not None and seconds > 0]
    waiting = sum(shard.is_live and shard.state not in {"running", "completing"} for shard in shards)
    if not known or len(known) < len(left) or (waiting and whole is None):
        return None
    return max(known) + math.ceil(waiting / len(jobs)) * (whole or 0.0)


def _job_left(
    shards: Sequence[ShardState], whole: float | None, run_dir: Path, history: History, now: float
) -> float | None:
    """Of a job that runs these shards, one after another: what is left of the one that runs, and all that come then."""
    begun = {shard: _begun(shard, history) for shard in shards} if len(shards) > 1 else {shards[0]: shards[0].since}
    running = [(shard, since) for shard, since in begun.items() if since is not None]
    left = [_shard_left(shard, since, whole, run_dir, history, now) for shard, since in running]
    later = len(shards) - len(running)
    if (later and whole is None) or any(seconds is None or seconds <= 0 for seconds in left):
        return None
    return sum(seconds for seconds in left if seconds) + later * (whole or 0.0)


def _begun(shard: ShardState, history: History) -> float | None:
    """When the worker of a shard started, in this job."""
    times = (float(e["time"]) for e in history.get(shard.shard, ()) if e["event"] == "started")
    return max((time for time in times if time >= (shard.since or 0.0) - 1), default=None)


def _whole_shard(task: Task, history: History) -> float | None:
    """What a shard takes: the mean of those that finished, else what the plan expects."""
    took = [float(e["seconds"]) for events in history.values() for e in events if e["event"] == "finished"]
    return sum(took) / len(took) if took else task.resources.seconds


def _shard_left(
    shard: ShardState, since: float, whole: float | None, run_dir: Path, history: History, now: float
) -> float | None:
    elapsed = now - since
    said = report(run_dir, shard.task_id, shard.shard, since)
    if said and said["total"]:
        made = said["done"] - _before(said["unit"], history.get(shard.shard, ()))
        if made > 0:
            return float(elapsed * (said["total"] - said["done"]) / made)
    return None if whole is None else whole - elapsed


def _before(unit: str, events: Iterable[Event]) -> int:
    """How far earlier attempts had come, which this one took over: of training only, the rest begins anew.

    One that Ctrl-C stopped does not say.
    """
    if unit != "steps":
        return 0
    field = {"requeue": "progress", "interrupted": "step"}
    return max((int(event.get(field[event["event"]], 0)) for event in events if event["event"] in field), default=0)
