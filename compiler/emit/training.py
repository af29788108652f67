"""Training configs: a TrainJob as JSON for every back end, and in the words of the back end that is to train it."""

from __future__ import annotations

import json

from compiler.emit.bridge import bridge_configs
from compiler.emit.megatron import megatron_json
from compiler.emit.nemo import nemo_yaml
from compiler.plan import CONVERTER, Plan, Task
from compiler.trainjob import TrainJob


def training_configs(plan: Plan, task: Task) -> dict[str, str]:
    """The files of a training task by name; none for others."""
    job = getattr(task.op, "job", None)
    if not isinstance(job, TrainJob):
        return {}
    described = {
        **CONVERTER.unstructure(job),
        "steps": job.steps,
        "tokens": job.tokens,
        "parameters": job.model.parameters,
        "devices": job.parallelism.devices,
    }
    files = {"job.json": json.dumps(described, indent=1, sort_keys=True) + "\n"}
    if job.backend in {"nemo", "megatron"}:
        files["megatron.json"] = megatron_json(job)
        files |= bridge_configs(job, jobs_before(plan, task))
    if job.backend == "nemo":
        files["nemo.yaml"] = nemo_yaml(job)
    return files


def jobs_before(plan: Plan, task: Task) -> tuple[TrainJob, ...]:
    """The jobs that a training task follows from, the first one first."""
    init = next((item.task for item in task.inputs if item.role == "init"), None)
    if init is None:
        return ()
    before = plan.task(init)
    job = getattr(before.op, "job", None)
    assert isinstance(job, TrainJob), f"{task.id} starts from {init}, which trains nothing"
    return (*jobs_before(plan, before), job)
