"""What a task asks of Slurm and what its batch script does before the worker starts. Pure text; nothing is submitted.

`compile` writes a script per task for people; the dispatcher and `ocspec doctor` submit the same requests, set-up lines
and commands.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from compiler.plan import Resources, Task
from compiler.profile import Container, Profile, Settings

THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")  # else libraries count the node's cores
# A batch script is no login shell: where the site's `module` is not exported it has to be read in.
MODULES = (
    "for file in /etc/profile.d/*lmod*.sh /etc/profile.d/modules.sh; do "
    'type module > /dev/null 2>&1 || [ ! -r "$file" ] || . "$file"; done'
)
SCRATCH_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


def job_name(experiment: str, task_id: str) -> str:
    """A name that Slurm and shells take: other characters than these have broken scripts.

    >>> job_name("mini run", "code/sign")
    'mini-run.code-sign'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{experiment}.{task_id}".replace("/", "-"))[:100]


def request(asked: Resources, settings: Settings) -> dict[str, Any]:
    """What one job asks of Slurm: the settings' figures where they say some, else the task's own.

    Options by sbatch's names, with underscores; `time` in minutes. Training on several devices has one task (rank) per
    GPU, and they share the processors of their node; anything else is one task.
    """
    spread = spread_devices(asked, settings.gpus_per_node)
    ranks = spread.gpus if is_distributed(spread) else 1
    options = {
        "partition": settings.partition,
        "account": settings.account,
        "qos": settings.qos,
        "constraint": settings.constraint,
        "time": settings.minutes,
        "nodes": spread.nodes,
        "ntasks_per_node": ranks,
        "cpus_per_task": max(1, (settings.cpus or spread.cpus) // ranks),
        "mem": f"{settings.memory_mb or spread.memory_mb}M",
        "gpus_per_node": spread.gpus,
    }
    return {name: value for name, value in options.items() if value}


def is_distributed(asked: Resources) -> bool:
    """Whether a job trains in several processes, one for each device."""
    return asked.task_class == "train" and asked.gpus * asked.nodes > 1


def spread_devices(asked: Resources, gpus_per_node: int | None) -> Resources:
    """The same number of devices on nodes that have this many each, evenly; each keeps its processors and memory."""
    devices = asked.gpus * asked.nodes
    if not devices or not gpus_per_node:
        return asked
    each = next(n for n in range(min(devices, gpus_per_node), 0, -1) if devices % n == 0)
    cpus, memory_mb = max(1, asked.cpus * each // asked.gpus), asked.memory_mb * each // asked.gpus
    return attrs.evolve(asked, cpus=cpus, memory_mb=memory_mb, gpus=each, nodes=devices // each)


def setup_lines(cpus: int, settings: Settings) -> list[str]:
    """Shell lines before a worker that has `cpus` processors; nothing that is secret is in them.

    Threads, modules, variables, secrets read from files on the node, scratch, then the profile's own lines.
    """
    lines = [
        "export " + " ".join(f"{name}={cpus}" for name in THREADS),
        'export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"',  # threads that wait must not keep a processor busy
    ]
    if settings.modules:
        lines += [MODULES, *(f"module load {shlex.quote(module)} || exit 1" for module in settings.modules)]
    lines += [_export(name, value) for name, value in settings.environment.items() if not value.startswith("env:")]
    if settings.scratch:
        lines.append(f"export OCSPEC_SCRATCH={_expanding(settings.scratch)}")
    return [*lines, *(settings.setup or ())]


def _export(name: str, value: str) -> str:
    if not value.startswith("file:"):
        return f"export {name}={shlex.quote(value)}"
    path = value.removeprefix("file:")
    said = shlex.quote(f"error: {name}: {path} cannot be read here, or is empty")
    read = f'{name}="$(cat -- {shlex.quote(path)})" && [ -n "${name}" ] && export {name}'
    return f"{read} || {{ echo {said} >&2; exit 1; }}"


def _expanding(text: str) -> str:
    """A word of a shell in which $NAME and ${NAME} are expanded, or the script ends, and all else is itself.

    >>> print(_expanding("/local/$USER/a b"))
    /local/"${USER:?}"'/a b'
    """
    parts, end = [], 0
    for found in SCRATCH_VARIABLE.finditer(text):
        parts += [text[end : found.start()], f'"${{{found[1] or found[2]}:?}}"']
        end = found.end()
    parts.append(text[end:])
    return "".join(shlex.quote(part) if part and not n % 2 else part for n, part in enumerate(parts))


def srun_arguments(settings: Settings) -> list[str]:
    """Arguments of srun that start a step in the settings' container, where that is srun's business (pyxis)."""
    container = settings.container or Container()
    if container.kind != "pyxis":
        return []
    mounts = [f"--container-mounts={','.join(map(_mount, container.mounts))}"] if container.mounts else []
    return [f"--container-image={container.image}", *mounts, *container.options]


def shell_command(settings: Settings, argv: Sequence[str], default_python: str) -> str:
    """Python with these arguments, as a line for a shell; in a container, its own Python if the settings name none."""
    container = settings.container or Container()
    if container.kind == "none":
        return shlex.join([settings.python or default_python, *argv])
    inside = [settings.python or "python", *argv]
    if container.kind == "pyxis":
        return shlex.join(inside)
    binds = [part for mount in container.mounts for part in ("--bind", _mount(mount))]
    return shlex.join(["apptainer", "exec", "--nv", *binds, *container.options, container.image, *inside])


def _mount(mount: str) -> str:
    """A mount as both programs take it; a path alone is the same outside and inside."""
    return mount if ":" in mount else f"{mount}:{mount}"


def directives(task: Task, profile: Profile, experiment: str) -> dict[str, str]:
    """The sbatch options of a task's script, by name; an empty value is a flag of the profile's."""
    settings = profile.settings(task.resources.task_class)
    options = {"job_name": job_name(experiment, task.id), **request(task.resources, settings)}
    options["kill_on_invalid_dep"] = "yes"
    if task.shards > 1:
        throttle = f"%{settings.max_parallel_shards}" if settings.max_parallel_shards else ""
        options["array"] = f"0-{task.shards - 1}{throttle}"
    return {name.replace("_", "-"): str(value) for name, value in {**options, **settings.sbatch}.items()}


def header(options: Mapping[str, str]) -> list[str]:
    """The lines that sbatch reads, as `#SBATCH --name=value`; an empty value makes a flag."""
    return [
        f"#SBATCH --{name}={shlex.quote(value)}" if value else f"#SBATCH --{name}" for name, value in options.items()
    ]


def sbatch_script(task: Task, profile: Profile, experiment: str) -> str:
    """A script that runs the task's shards by hand, from the directory of plan.json."""
    settings = profile.settings(task.resources.task_class)
    options = request(task.resources, settings)
    step = srun_arguments(settings)
    if is_distributed(task.resources):  # over nodes of one GPU, too
        step = ["--kill-on-bad-exit=1", *step]  # one rank that fails ends them all
    if step:  # since Slurm 22.05 a step does not take over the job's --cpus-per-task
        step = ["srun", f"--cpus-per-task={options['cpus_per_task']}", *step]
    command = [
        *([shlex.join(step)] if step else []),
        shell_command(settings, ["-m", "runtime.worker", "plan.json", task.id], "python"),
        '"${SLURM_ARRAY_TASK_ID:-0}" --store "${OCSPEC_STORE:?}"',
    ]
    lines = [*header(directives(task, profile, experiment)), "set -eo pipefail"]
    return (
        "\n".join(["#!/bin/bash", *lines, *setup_lines(options["cpus_per_task"], settings), " ".join(command)]) + "\n"
    )
