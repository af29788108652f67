"""What a run used, task by task, beside what the plan expected: hours of CPUs and GPUs, waiting, efficiency.

From Slurm's accounting for jobs that were submitted to it, all their attempts, and else from the manifests of what was
built: those have only the attempt that succeeded. It asks and reads, and changes nothing. Prices and budgets are not
its business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import attrs

from compiler.errors import UserError
from compiler.plan import Plan, Task
from runtime.accounting import Attempt, attempts
from runtime.dispatch.slurm.client import QueueUnavailable
from runtime.store import Store
from runtime.task import Artifact

HOUR = 3600.0
Carries = Callable[[str, str], bool]
"""Whether a job of that name (the second) was submitted for that task (the first), of this run."""


@attrs.frozen(kw_only=True)
class TaskUsage:
    """What one task used, its shards and all attempts at them together; None stands for what is not known.

    `jobs` are jobs, elements of arrays, or processes on this machine; `repeats` attempts beyond the first of each.
    `waited` is the mean time of an attempt in the queue from when it could have run, `wall` from the first start to
    the last end; both in seconds. Hours are of what was allocated, used or not. Efficiencies are shares of what was
    allocated: CPU time of ended attempts, and memory of the one that came closest to its limit.
    """

    task: str
    source: Literal["sacct", "manifest"]
    jobs: int
    repeats: int = 0
    waited: float | None = None
    wall: float
    cpu_hours: float
    gpu_hours: float
    cpu_efficiency: float | None
    memory_efficiency: float | None
    planned_cpu_hours: float | None
    planned_gpu_hours: float | None


@attrs.frozen(kw_only=True)
class RunUsage:
    """What a run used. `reused` are finished tasks that no run of this plan worked on.

    `trouble` is why sacct said nothing of jobs that were submitted; empty where it answered or was not asked.
    """

    tasks: tuple[TaskUsage, ...]
    reused: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def cpu_hours(self) -> float:
        """Of all tasks."""
        return sum(task.cpu_hours for task in self.tasks)

    @property
    def gpu_hours(self) -> float:
        """Of all tasks."""
        return sum(task.gpu_hours for task in self.tasks)

    @property
    def foreseen(self) -> tuple[TaskUsage, ...]:
        """The tasks that the plan had an estimate for."""
        return tuple(task for task in self.tasks if task.planned_cpu_hours is not None)


def run_usage(plan: Plan, events: Sequence[Mapping[str, Any]], store: Store, carries: Carries) -> RunUsage:
    """What the runs of a plan used, by task in the plan's order; `events` are those of its journal.

    Jobs count only where `carries` their name: a controller that lost a job gives its id to another. Raises UserError
    where nothing of the plan has run.
    """
    if not events:
        raise UserError(f"nothing of the plan {plan.experiment!r} has run yet", fix="run `ocspec submit` first")
    jobs = _submitted(events)
    found, trouble = _asked(sorted({job for ids in jobs.values() for job in ids}))
    worked = {event.get("task") for event in events if event["event"] in {"published", "finished"}}
    used: list[TaskUsage] = []
    reused: list[str] = []
    for task in plan.tasks:
        ids = jobs.get(task.id, set())
        ran = [one for one in found if one.job in ids and one.start is not None and carries(task.id, one.name)]
        if ran:
            used.append(from_sacct(task, ran))
        elif artifact := store.find(task.fingerprint):
            if task.id in worked:
                used.append(from_manifest(task, artifact))
            else:
                reused.append(task.id)
    return RunUsage(tasks=tuple(used), reused=tuple(reused), trouble=trouble)


def from_sacct(task: Task, ran: Sequence[Attempt]) -> TaskUsage:
    """What attempts that started used; those that run still count so far, but for their efficiency."""
    ended = [one for one in ran if one.end is not None]
    started = [one.start for one in ran if one.start is not None]
    waits = [one.waited for one in ran if one.waited is not None]
    jobs = len({(one.job, one.id) for one in ran})
    return TaskUsage(
        task=task.id,
        source="sacct",
        jobs=jobs,
        repeats=len(ran) - jobs,
        waited=sum(waits) / len(waits) if waits else None,
        wall=max(one.start + one.seconds for one in ran if one.start is not None) - min(started),
        cpu_hours=sum(one.cpus * one.seconds for one in ran) / HOUR,
        gpu_hours=sum(one.gpus * one.seconds for one in ran) / HOUR,
        cpu_efficiency=_share(sum(one.cpu_seconds for one in ended), sum(one.cpus * one.seconds for one in ended)),
        memory_efficiency=_largest((one.peak_memory_mb, one.memory_mb) for one in ended),
        planned_cpu_hours=_planned_hours(task, task.resources.cpus),
        planned_gpu_hours=_planned_hours(task, task.resources.gpus),
    )


def from_manifest(task: Task, artifact: Artifact) -> TaskUsage:
    """What the shards of a built artefact used."""
    shards, asked = artifact.manifest["shards"], artifact.manifest["resources"]
    seconds = sum(shard["seconds"] for shard in shards) * asked["nodes"]
    cpu_seconds = sum(shard["cpu_seconds"] for shard in shards)
    began = min(shard["started"] for shard in shards)
    return TaskUsage(
        task=task.id,
        source="manifest",
        jobs=len(shards),
        wall=max(shard["started"] + shard["seconds"] for shard in shards) - began,
        cpu_hours=seconds * asked["cpus"] / HOUR,
        gpu_hours=seconds * asked["gpus"] / HOUR,
        cpu_efficiency=_share(cpu_seconds, seconds * asked["cpus"]),
        memory_efficiency=_largest((shard["peak_memory_mb"], asked["memory_mb"]) for shard in shards),
        planned_cpu_hours=_planned_hours(task, task.resources.cpus),
        planned_gpu_hours=_planned_hours(task, task.resources.gpus),
    )


def _submitted(events: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Ids of the jobs of each task, as sbatch gave them."""
    jobs: dict[str, set[str]] = {}
    for event in events:
        if event["event"] == "submitted":
            jobs.setdefault(event["task"], set()).add(str(event["job"]).partition("_")[0])
    return jobs


def _asked(job_ids: Sequence[str]) -> tuple[list[Attempt], str]:
    """What sacct has of jobs, or why it has nothing."""
    try:
        return attempts(job_ids), ""
    except QueueUnavailable as error:
        return [], str(error)


def _planned_hours(task: Task, devices: int) -> float | None:
    """Hours of so many processors or GPUs on each node, as the plan expected; None where it did not know."""
    asked = task.resources
    return None if asked.seconds is None else asked.seconds * task.shards * asked.nodes * devices / HOUR


def _share(used: float, had: float) -> float | None:
    return used / had if had else None


def _largest(pairs: Iterable[tuple[float | None, float]]) -> float | None:
    """The largest share, of those that are known."""
    return max((used / had for used, had in pairs if used is not None and had), default=None)
