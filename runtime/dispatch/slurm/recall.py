"""Recall: what the ledger and the journal alone tell of a run's jobs, for when Slurm cannot be asked.

What was submitted and has not ended is taken to be as the nodes last said. Nothing is decided by it: it is for people.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from runtime.dispatch.slurm import ledger
from runtime.dispatch.slurm.ledger import Submission
from runtime.dispatch.slurm.queue import Key, Row, Snapshot


def recall(submissions: Iterable[Submission], events: Iterable[Mapping[str, Any]]) -> Snapshot:
    """The jobs as they are remembered; those that were cancelled, or all of whose shards ended, are left out."""
    events = list(events)
    jobs, gone = ledger.job_ids(events), ledger.withdrawn(events)
    told: dict[Key, list[Mapping[str, Any]]] = defaultdict(list)
    for event in events:
        if event["event"] in {"running", "requeue", "shard_failed"}:
            told[event["submission"], event["element"]].append(event)
    ended = {(e["task"], e["shard"]): e["time"] for e in events if e["event"] == "finished"}
    cancelled = max((event["time"] for event in events if event["event"] == "cancel"), default=0.0)
    rows: dict[Key, tuple[Row, ...]] = {}
    for one in submissions:
        if one.id in gone or one.id not in jobs or one.time < cancelled:
            continue
        for element, shards in enumerate(one.elements):
            said = told[one.id, element]
            over = {event["shard"] for event in said if event["event"] == "shard_failed"}
            over |= {shard for shard in shards if ended.get((one.task, shard), 0.0) >= one.time}
            if not over.issuperset(shards):
                job = f"{jobs[one.id]}_{element}" if len(one.elements) > 1 else jobs[one.id]
                rows[one.id, element] = (_row(one, job, said),)
    return Snapshot(rows)


def _row(one: Submission, job: str, said: list[Mapping[str, Any]]) -> Row:
    """The job as its node spoke of it last; one that never did waits."""
    last = next((event for event in reversed(said) if event["event"] != "shard_failed"), None)
    if last is None:
        return Row(job_id=job, state="PENDING", label=None, submitted=one.time)
    if last["event"] == "requeue":
        return Row(job_id=job, state="PENDING", label=None, submitted=last["time"], restarts=last["restart"] + 1)
    return Row(job_id=job, state="RUNNING", label=None, node=last["host"], started=last["time"])
