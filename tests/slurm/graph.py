"""Plans of any shape for the tests of the cluster: real tasks of a real operator, with what each shard is to do.

The work itself is `tests.slurm.worker`'s; store, keys, journal and manifests are those of the product.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from compiler import ir
from compiler import plan as plans
from compiler.passes.fingerprint import identified
from compiler.plan import Input, Plan, Resources, Task, TaskClass
from compiler.profile import Profile
from runtime.dispatch.slurm.kept_profile import write_profile
from runtime.dispatch.slurm.run import SlurmRun
from runtime.store import Store

WORKER = "tests.slurm.worker"
MINUTES = 30  # Slurm tells a job minutes before its limit; what waits for a busy machine must not hear of it


def step(
    task_id: str,
    after: Sequence[str] = (),
    shards: int = 1,
    *,
    task_class: TaskClass = "data",
    cpus: int = 1,
    memory_mb: int = 200,
    gpus: int = 0,
    nodes: int = 1,
    seconds: int | None = None,
) -> Task:
    """A task; `make_plan` gives it its identity."""
    asked = Resources(task_class=task_class, cpus=cpus, memory_mb=memory_mb, gpus=gpus, nodes=nodes, seconds=seconds)
    inputs = tuple(Input(role=f"from{number}", task=parent) for number, parent in enumerate(after))
    return Task(id=task_id, op=ir.Pack(dataset=task_id), inputs=inputs, shards=shards, resources=asked)


def make_plan(*tasks: Task, experiment: str = "graph") -> Plan:
    """The plan of these tasks, with their fingerprints."""
    prints: dict[str, str] = {}
    done = []
    for number, task in enumerate(tasks):
        own = attrs.evolve(task, op=ir.Pack(dataset=task.id, seed=number))
        done.append(identified(own, prints))
        prints[task.id] = done[-1].fingerprint
    return Plan(
        experiment=experiment, spec={}, tasks=tuple(done), parameters=0, parameters_without_embeddings=0, stages=()
    )


def make_run(
    directory: Path,
    plan: Plan,
    behaviours: Mapping[str, str] | None = None,
    *,
    profile: Profile | None = None,
    store: Path | None = None,
) -> SlurmRun:
    """The run of a plan in a directory: its plan, what its tasks do ("task" or "task.shard"), its store."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / plans.PLAN_FILE
    path.write_text(plans.dumps(plan))
    (directory / "base").write_text(str(directory))
    behave(directory, behaviours or {})
    profile = profile or Profile(name="test", dispatch="slurm", minutes=MINUTES)
    write_profile(directory, profile)
    return SlurmRun(
        plan=plan,
        plan_path=path,
        store=Store(store or directory / "store"),
        profile=profile,
        worker=WORKER,
    )


def behave(directory: Path, behaviours: Mapping[str, str]) -> None:
    """Say anew what tasks do, from their next attempt on."""
    aside = directory / "behaviours.new"
    aside.write_text(json.dumps(dict(behaviours)))
    aside.replace(directory / "behaviours.json")


def attempts_file(directory: Path, task_id: str, shard: int) -> Path:
    """Where the worker writes a line as it begins with a shard."""
    return directory / "ran" / f"{task_id.replace('/', '--')}.{shard}"


def attempts(directory: Path, task_id: str, shard: int) -> list[str]:
    """The job of each attempt at a shard that did its work, oldest first."""
    try:
        return attempts_file(directory, task_id, shard).read_text().split()
    except FileNotFoundError:
        return []
