"""What the tasks of a plan take: documents, bytes, tokens, FLOPs, hours, memory and disk, as intervals.

Pure: it looks at a plan, a profile and what past runs told, and opens no file. Nothing of it enters a fingerprint or
a plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from compiler import ir
from compiler.cost.calibration import PRIORS, Calibration
from compiler.cost.flops import training_flops
from compiler.cost.interval import NOTHING, UNKNOWN, Interval, greatest
from compiler.cost.interval import total as add
from compiler.plan import Plan, Task
from compiler.profile import Profile

HOUR = 3600.0
SUMMED = (
    *("documents", "bytes_read", "bytes_written", "tokens", "flops"),
    *("gpu_hours", "cpu_hours", "seconds"),
)
GREATEST = ("memory_mb", "disk_mb")


@attrs.frozen(kw_only=True)
class Estimate:
    """Of one task, all its shards together; `memory_mb` and `disk_mb` are the peak of one shard or rank.

    `documents` and `bytes_read` go in, `bytes_written` and `tokens` come out or are trained on. Hours are of what is
    allocated, used or not. `seconds` are wall seconds, with as many shards at a time as the profile allows. Nothing
    is exactly 0 that is only not known.
    """

    documents: Interval = UNKNOWN
    bytes_read: Interval = UNKNOWN
    bytes_written: Interval = UNKNOWN
    tokens: Interval = UNKNOWN
    flops: Interval = UNKNOWN
    gpu_hours: Interval = UNKNOWN
    cpu_hours: Interval = UNKNOWN
    seconds: Interval = UNKNOWN
    memory_mb: Interval = UNKNOWN
    disk_mb: Interval = UNKNOWN


def estimate(plan: Plan, profile: Profile | None = None, calibration: Calibration = PRIORS) -> dict[str, Estimate]:
    """What each task takes where it is run, by its id. No profile is this machine's (`local`)."""
    return {task.id: _estimate(task) for task in plan.tasks}


def _estimate(task: Task) -> Estimate:
    asked = task.resources
    shard = UNKNOWN if asked.seconds is None else Interval.exact(asked.seconds)
    hours = shard * (task.shards * asked.nodes / HOUR)
    training = isinstance(task.op, ir.TrainOp)
    return Estimate(
        tokens=Interval.exact(task.op.job.tokens) if isinstance(task.op, ir.TrainOp) else UNKNOWN,
        flops=Interval.exact(training_flops(task.op.job)) if isinstance(task.op, ir.TrainOp) else NOTHING,
        gpu_hours=hours * asked.gpus,
        cpu_hours=hours * asked.cpus,
        seconds=shard if training else shard * task.shards,
        memory_mb=Interval(0, asked.memory_mb),
        disk_mb=UNKNOWN if asked.disk_mb is None else Interval(0, asked.disk_mb),
    )


def total(estimates: Iterable[Estimate]) -> Estimate:
    """All of them together: sums, but memory and disk are the greatest. `seconds` are one task after another."""
    found = list(estimates)
    sums = {name: add(getattr(one, name) for one in found) for name in SUMMED}
    peaks = {name: greatest(getattr(one, name) for one in found) for name in GREATEST}
    return Estimate(**sums, **peaks)


def critical_path(plan: Plan, estimates: Mapping[str, Estimate], task_ids: Iterable[str]) -> Interval:
    """Wall seconds of these tasks if everything that does not wait for another runs at once; others take none."""
    wanted = set(task_ids)
    end: dict[str, Interval] = {}
    for task in plan.tasks:  # in topological order
        own = estimates[task.id].seconds if task.id in wanted else NOTHING
        end[task.id] = greatest(end[before] for before in task.upstream) + own
    return greatest(end.values())
