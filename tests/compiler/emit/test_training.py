"""Training configs: what a back end is handed, as text that a reviewer can read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from fractions import Fraction

import attrs
import pytest
import yaml

from compiler import ir
from compiler.emit.megatron import AUTO, ddp_config, optimizer_config, transformer_config
from compiler.emit.training import jobs_before, training_configs
from compiler.plan import CONVERTER, Plan
from compiler.trainjob import SchedulePhase, TrainJob


def configs(plan: Plan) -> dict[str, str]:
    return {
        f"{task.id.replace('/', '-')}.{name}": text
        for task in plan.tasks
        for name, text in training_configs(plan, task).items()
    }


def test_configs_of_the_mini(mini_plan: Plan, golden: Callable[[str, str], None]) -> None:
    """One job each; no NeMo without NeMo."""
    found = configs(mini_plan)
    assert set(found) == {f"{stage.name}-train.job.json" for stage in mini_plan.stages}
    for name, text in found.items():
        golden(f"training/mini/{name}", text)


def test_configs_of_the_8b(full_scale: dict[str, Plan], golden: Callable[[str, str], None]) -> None:
    """Every stage as data, as Megatron's arguments, as NeMo's settings and as Bridge's, of one launch or two."""
    found = configs(full_scale["8b"])
    assert len(found) == 4 * 4 + 1
    for name, text in found.items():
        golden(f"training/8b/{name}", text)


def test_a_job_on_disk_is_the_job(full_scale: dict[str, Plan]) -> None:
    """Besides the figures that are derived for people, the JSON is the job itself."""
    plan = full_scale["1_5b"]
    for task in plan.tasks:
        for name, text in training_configs(plan, task).items():
            if name == "job.json":
                data = json.loads(text)
                job = CONVERTER.structure({key: data[key] for key in set(data) - DERIVED}, TrainJob)
                assert job == task.op.job
                assert data["tokens"] == job.tokens
                assert data["parameters"] == 1_905_650_880
                assert data["devices"] == job.parallelism.devices


DERIVED = {"steps", "tokens", "parameters", "devices"}


def test_configs_of_the_1_5b(full_scale: dict[str, Plan], golden: Callable[[str, str], None]) -> None:
    """One phase a stage, so one launch of Bridge each."""
    found = configs(full_scale["1_5b"])
    assert len(found) == 4 * 4
    for name, text in found.items():
        golden(f"training/1_5b/{name}", text)


@pytest.mark.parametrize("stage", ["pretrain", "anneal", "sft_1", "sft_2"])
@pytest.mark.parametrize("size", ["1_5b", "8b"])
def test_nemo_is_told_the_same_as_the_job(full_scale: dict[str, Plan], size: str, stage: str) -> None:
    """The figures of the job, under NeMo's names; nothing of it is left out."""
    task = full_scale[size].task(f"{stage}/train")
    assert isinstance(task.op, ir.TrainNeMo)
    job, settings = task.op.job, yaml.safe_load(training_configs(full_scale[size], task)["nemo.yaml"])
    transformer = transformer_config(job)
    assert {**settings["model"], **settings["strategy"]}.items() >= transformer.items()
    assert settings["model"]["seq_length"] == job.model.max_positions
    assert settings["optim"] == optimizer_config(job)
    assert settings["strategy"]["ddp"] == ddp_config(job)
    trainer = settings["trainer"]
    assert trainer["max_steps"] == sum(batch.steps for batch in job.batches)
    assert trainer["devices"] * trainer["num_nodes"] == job.parallelism.devices
    assert trainer["devices"] == task.resources.gpus
    assert trainer["precision"] == "bf16-mixed"
    assert [SchedulePhase(**phase) for phase in settings["schedule"]] == list(job.schedule)
    phases = [(b.steps, b.global_batch, b.sequence_length) for b in job.batches]
    assert [(p["steps"], p["global_batch_size"], p["seq_length"]) for p in settings["data"]["phases"]] == phases
    assert settings["data"]["micro_batch_size"] == job.micro_batch
    assert sum(Fraction(share) for share in settings["data"]["blend"].values()) == (0 if job.kind == "finetune" else 1)
    assert settings["checkpoint"] == {"every_n_train_steps": job.checkpoint_every, "save_at": job.save_at}
    assert settings["start"] == {"from": job.start_from, "step": job.start_step}
    assert settings["guard"] == attrs.asdict(job.guard)
    assert (settings["kernels"], settings["seed"]) == (job.kernels, job.seed)


def test_nemo_is_told_that_a_precision_is_not_settled(full_scale: dict[str, Plan]) -> None:
    """At the flags that follow from it; where it is settled, nothing is said."""
    plan = full_scale["1_5b"]
    task = plan.task("pretrain/train")
    assert isinstance(task.op, ir.TrainNeMo)
    auto = attrs.evolve(task, op=attrs.evolve(task.op, job=attrs.evolve(task.op.job, precision="auto")))
    lines = training_configs(plan, auto)["nemo.yaml"].splitlines()
    flags = [number for number, line in enumerate(lines) if line.strip() in {"bf16: false", "precision: auto"}]
    assert [lines[number - 1].strip() for number in flags] == [f"# {AUTO}"] * 3
    assert AUTO not in training_configs(plan, task)["nemo.yaml"]


def test_a_stage_knows_all_that_it_follows_from(full_scale: dict[str, Plan]) -> None:
    """Down to the first: Bridge counts on."""
    plan = full_scale["8b"]
    chain = [job.stage for job in jobs_before(plan, plan.task("sft_2/train"))]
    assert chain == ["pretrain", "anneal", "sft_1"]
    assert jobs_before(plan, plan.task("pretrain/train")) == ()


def test_no_path_or_name_of_a_machine_is_in_a_config(full_scale: dict[str, Plan]) -> None:
    """Data and checkpoints come as inputs of the task."""
    assert not any(re.search(r"(^|[\s\"'])/", text) for text in configs(full_scale["8b"]).values())


def test_other_operators_have_no_config(mini_plan: Plan) -> None:
    """Only training has."""
    assert training_configs(mini_plan, mini_plan.task("code/sign")) == {}
