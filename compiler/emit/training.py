"""Training configs: a TrainJob as JSON for every back end, and in the words of the back end that is to train it."""

from __future__ import annotations

import json

from compiler.emit.bridge import bridge_configs
from compiler.emit.megatron import megatron_json
from compiler.emit.nemo import nemo_yaml
from compiler.ir import Operator
from compiler.plan import CONVERTER
from compiler.trainjob import TrainJob


def training_configs(op: Operator) -> dict[str, str]:
    """The files of a training operator by name; none for others."""
    job = getattr(op, "job", None)
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
        files |= bridge_configs(job)
    if job.backend == "nemo":
        files["nemo.yaml"] = nemo_yaml(job)
    return files
