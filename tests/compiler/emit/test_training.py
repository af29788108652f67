"""Training configs: what a back end is handed, as text that a reviewer can read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from compiler.emit.training import training_configs
from compiler.plan import CONVERTER, Plan
from compiler.trainjob import TrainJob


def configs(plan: Plan) -> dict[str, str]:
    return {
        f"{task.id.replace('/', '-')}.{name}": text
        for task in plan.tasks
        for name, text in training_configs(task.op).items()
    }


def test_configs_of_the_mini(mini_plan: Plan, golden: Callable[[str, str], None]) -> None:
    """One job each; no NeMo without NeMo."""
    found = configs(mini_plan)
    assert set(found) == {f"{stage.name}-train.job.json" for stage in mini_plan.stages}
    for name, text in found.items():
        golden(f"training/mini/{name}", text)


def test_configs_of_the_8b(full_scale: dict[str, Plan], golden: Callable[[str, str], None]) -> None:
    """Every stage as data and as NeMo's settings."""
    found = configs(full_scale["8b"])
    assert len(found) == 12
    for name, text in found.items():
        golden(f"training/8b/{name}", text)


def test_a_job_on_disk_is_the_job(full_scale: dict[str, Plan]) -> None:
    """Besides the figures that are derived for people, the JSON is the job itself."""
    for task in full_scale["1_5b"].tasks:
        for name, text in training_configs(task.op).items():
            if name == "job.json":
                data = json.loads(text)
                job = CONVERTER.structure({key: data[key] for key in set(data) - DERIVED}, TrainJob)
                assert job == task.op.job
                assert data["tokens"] == job.tokens
                assert data["parameters"] == 1_905_650_880
                assert data["devices"] == job.parallelism.devices


DERIVED = {"steps", "tokens", "parameters", "devices"}


@pytest.mark.parametrize("stage", ["pretrain", "anneal", "sft_1", "sft_2"])
def test_nemo_is_told_the_same_as_the_job(full_scale: dict[str, Plan], stage: str) -> None:
    """The figures of the job, under NeMo's names."""
    task = full_scale["8b"].task(f"{stage}/train")
    job, text = task.op.job, training_configs(task.op)["nemo.yaml"]
    settings: dict[str, Any] = dict(re.findall(r"^ *(\w+): ([^\s#]+)(?:  #.*)?$", text, flags=re.MULTILINE))
    assert int(settings["max_steps"]) == sum(batch.steps for batch in job.batches)
    assert int(settings["num_layers"]) * job.model.layer_parameters < job.model.parameters
    assert int(settings["seq_length"]) == job.batches[-1].sequence_length
    assert int(settings["tensor_model_parallel_size"]) == job.parallelism.tensor
    assert float(settings["clip_grad"]) == job.optimizer.clip_norm
    assert int(settings["devices"]) * int(settings["num_nodes"]) == job.parallelism.devices
    assert int(settings["devices"]) == task.resources.gpus
    assert settings["precision"] == "bf16-mixed"
    assert text.count("shape:") == len(job.schedule)
    assert text.count("global_batch_size:") == len(job.batches)


def test_no_path_or_name_of_a_machine_is_in_a_config(full_scale: dict[str, Plan]) -> None:
    """Data and checkpoints come as inputs of the task."""
    assert not any(re.search(r"(^|[\s\"'])/", text) for text in configs(full_scale["8b"]).values())


def test_other_operators_have_no_config(mini_plan: Plan) -> None:
    """Only training has."""
    assert training_configs(mini_plan.task("code/sign").op) == {}
