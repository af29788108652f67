"""sbatch scripts: what a task asks of SLURM. The dispatcher submits the same request, through submitit."""

from __future__ import annotations

import re
import shlex
from typing import Any

from compiler.plan import Resources, Task
from compiler.profile import Profile

THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")  # else libraries count the node's cores


def job_name(experiment: str, task_id: str) -> str:
    """A name that Slurm and shells take: other characters than these have broken scripts.

    >>> job_name("mini run", "code/sign")
    'mini-run.code-sign'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{experiment}.{task_id}".replace("/", "-"))[:100]


def request(asked: Resources, profile: Profile) -> dict[str, Any]:
    """What one shard asks of SLURM: its own figures, unless the profile limits its task class.

    Options by sbatch's names, with underscores. One worker a job, on its first node: training over several starts
    its ranks from there.
    """
    limits = profile.limits(asked.task_class)
    options = {
        "partition": limits.partition or profile.partition,
        "account": profile.account,
        "qos": profile.qos,
        "constraint": profile.constraint,
        "time": limits.minutes or profile.minutes,
        "nodes": asked.nodes,
        "ntasks_per_node": 1,
        "cpus_per_task": limits.cpus or asked.cpus,
        "mem": f"{limits.memory_mb or asked.memory_mb}M",
        "gpus_per_node": asked.gpus,
    }
    return {name: value for name, value in options.items() if value}


def setup_lines(cpus: int, profile: Profile) -> list[str]:
    """Shell lines before the worker: as many threads as processors, then the profile's own."""
    return ["export " + " ".join(f"{name}={cpus}" for name in THREADS), *profile.setup]


def directives(task: Task, profile: Profile, experiment: str) -> dict[str, str]:
    """The sbatch options of a task's script, by name; an empty value is a flag of the profile's."""
    options = {"job_name": job_name(experiment, task.id), **request(task.resources, profile)}
    options["kill_on_invalid_dep"] = "yes"
    if task.shards > 1:
        throttle = f"%{profile.max_parallel_shards}" if profile.max_parallel_shards else ""
        options["array"] = f"0-{task.shards - 1}{throttle}"
    site = {name.removeprefix("--"): value for name, value in profile.sbatch.items()}
    return {name.replace("_", "-"): str(value) for name, value in {**options, **site}.items()}


def sbatch_script(task: Task, profile: Profile, experiment: str) -> str:
    """A script that runs the task's shards by hand, from the directory of plan.json."""
    options = directives(task, profile, experiment)
    header = [f"#SBATCH --{name}={value}" if value else f"#SBATCH --{name}" for name, value in options.items()]
    cpus = request(task.resources, profile)["cpus_per_task"]
    worker = f"{shlex.quote(profile.python or 'python')} -m runtime.worker plan.json {shlex.quote(task.id)}"
    shard = '"${SLURM_ARRAY_TASK_ID:-0}"'
    command = f'{worker} {shard} --store "$OCSPEC_STORE"'
    return "\n".join(["#!/bin/bash", *header, "set -euo pipefail", *setup_lines(cpus, profile), command]) + "\n"
