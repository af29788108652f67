"""sbatch scripts: what a task asks of SLURM, as text. The dispatcher submits with the same directives."""

from __future__ import annotations

import re
import shlex

from compiler.plan import Task
from compiler.profile import Profile


def job_name(experiment: str, task_id: str) -> str:
    """A name that Slurm and shells take: other characters than these have broken scripts.

    >>> job_name("mini run", "code/sign")
    'mini-run.code-sign'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{experiment}.{task_id}".replace("/", "-"))[:100]


def directives(task: Task, profile: Profile, experiment: str) -> dict[str, str]:
    """Sbatch options by name, from the task's resources and the profile's limits."""
    limits, asked = profile.limits(task.resources.task_class), task.resources
    options = {
        "job-name": job_name(experiment, task.id),
        "partition": limits.partition or profile.partition,
        "account": profile.account,
        "qos": profile.qos,
        "constraint": profile.constraint,
        "time": str(limits.minutes or profile.minutes),
        "nodes": str(asked.nodes),
        "ntasks-per-node": str(max(1, asked.gpus)),
        "cpus-per-task": str(max(1, (limits.cpus or asked.cpus) // max(1, asked.gpus))),
        "mem": f"{limits.memory_mb or asked.memory_mb}M",
        "gpus-per-node": str(asked.gpus) if asked.gpus else "",
        "kill-on-invalid-dep": "yes",
    }
    if task.shards > 1:
        throttle = f"%{profile.max_parallel_shards}" if profile.max_parallel_shards else ""
        options["array"] = f"0-{task.shards - 1}{throttle}"
    return {name: value for name, value in {**options, **profile.sbatch}.items() if value}


def sbatch_script(task: Task, profile: Profile, experiment: str) -> str:
    """A script that runs the task's shards by hand, from the directory of plan.json."""
    header = [f"#SBATCH --{name}={value}" for name, value in directives(task, profile, experiment).items()]
    shard = "${SLURM_ARRAY_TASK_ID:-0}"
    python = profile.python or "python"
    command = f'{python} -m runtime.worker plan.json {shlex.quote(task.id)} "{shard}" --store "$OCSPEC_STORE"'
    if task.resources.gpus:
        command = f"srun --kill-on-bad-exit=1 {command}"
    return "\n".join(["#!/bin/bash", *header, "set -euo pipefail", *profile.setup, command]) + "\n"
