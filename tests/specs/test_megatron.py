"""The full-scale experiments on Megatron-core: what NeMo would train, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

from compiler import ir
from compiler.compile import compile_experiment
from compiler.emit.sbatch import sbatch_script
from compiler.emit.training import training_configs
from compiler.load import load_spec
from compiler.plan import Plan, Task
from compiler.profile import Profile
from compiler.smoke import smoke

SPECS = Path(__file__).parents[2] / "specs"
NAMES = {"opencoder_1_5b.py": "opencoder_megatron.py:opencoder_1_5b", "opencoder_8b.py": "opencoder_megatron.py"}


def compiled(reference: str) -> Plan:
    return compile_experiment(*load_spec(str(SPECS / reference)))


@pytest.fixture(scope="module", params=NAMES)
def pair(request: pytest.FixtureRequest) -> tuple[Plan, Plan]:
    return compiled(request.param), compiled(NAMES[request.param])


def trains(plan: Plan) -> list[Task]:
    return [task for task in plan.tasks if isinstance(task.op, ir.TrainOp)]


def test_only_the_back_end_differs(pair: tuple[Plan, Plan]) -> None:
    """The jobs are equal but for it, with the same resources; all data and mixtures are shared."""
    nemo, megatron = pair
    assert megatron.experiment == f"{nemo.experiment}-megatron"
    for one, other in zip(trains(nemo), trains(megatron), strict=True):
        assert isinstance(one.op, ir.TrainNeMo)
        assert isinstance(other.op, ir.TrainMegatron)
        assert attrs.evolve(one.op.job, backend="megatron") == other.op.job
        assert (one.resources, one.inputs) == (other.resources, other.inputs)
    known = {task.fingerprint for task in nemo.tasks}
    anew = {task.resources.task_class for task in megatron.tasks if task.fingerprint not in known}
    assert anew == {"train", "eval"}


def test_it_is_told_what_nemo_is_told(pair: tuple[Plan, Plan]) -> None:
    """Megatron's and Bridge's files are the same; NeMo's is not there."""
    for one, other in zip(*map(trains, pair), strict=True):
        nemo, megatron = training_configs(pair[0], one), training_configs(pair[1], other)
        assert set(nemo) - set(megatron) == {"nemo.yaml"}
        assert all(nemo[name] == text for name, text in megatron.items() if name != "job.json")


def test_a_rank_starts_for_each_device(pair: tuple[Plan, Plan]) -> None:
    """Eight on each of as many nodes as hold them all, by one srun."""
    for task in trains(pair[1]):
        script = sbatch_script(task, Profile(), pair[1].experiment)
        asked = {name: int(number) for name, number in re.findall(r"--(nodes|ntasks-per-node)=(\d+)", script)}
        assert isinstance(task.op, ir.TrainMegatron)
        assert asked["nodes"] * asked["ntasks-per-node"] == task.op.job.parallelism.devices
        assert asked["ntasks-per-node"] == 8
        assert script.splitlines()[-1].startswith(
            "srun --cpus-per-task=8 --kill-on-bad-exit=1 python -m runtime.worker"
        )


def test_it_rehearses_on_megatron(pair: tuple[Plan, Plan]) -> None:
    """The back end is the one that a cluster would use."""
    assert {task.op.op_id for task in trains(smoke(pair[1]))} == {"train.megatron"}
