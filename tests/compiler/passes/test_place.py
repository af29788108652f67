"""Shards and resources: what runs in how many pieces, on what."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler import ir
from compiler.compile import compile_experiment
from compiler.passes.place import is_training, resources, shards
from compiler.plan import Plan
from compiler.trainjob import DEVICES_PER_NODE, Parallelism
from ocspec import Experiment

SPECS = Path(__file__).parents[3] / "specs"


def test_what_reads_content_splits_and_what_sees_all_rows_does_not(mini: Experiment) -> None:
    """However many shards are asked for."""
    plan = compile_experiment(mini, SPECS, shards=7)
    split = {task.op.op_id: task.shards for task in plan.tasks if task.shards > 1}
    assert split == {
        "data.fetch_packages": 7,
        "data.sign": 7,
        "data.edges": 7,
        "data.refine": 7,
        "text.encode": 7,
        "instruct.make_pairs": 7,
    }


@pytest.mark.parametrize(
    ("op", "wanted", "found"),
    [
        (ir.Edges(granularity="file", exact=True, key=None, bands=0), 8, 8),
        (ir.Edges(granularity="file", exact=True, key=0, bands=16), 99, 99),
        (ir.FetchPackages(source="s", packages=()), 8, 1),
        (ir.Encode(dataset="d"), 8, 8),
        (ir.Pack(dataset="d"), 8, 1),
    ],
)
def test_no_shard_is_without_work(op: ir.Operator, wanted: int, found: int) -> None:
    """Not more than packages; bands are cut into parts where there are more shards than bands."""
    if isinstance(op, ir.FetchPackages):
        op = ir.FetchPackages(source="s", packages=(ir.PyPIPackage(name="six", version="1", sha256=""),))
    assert shards(op, wanted) == found


def test_shards_do_not_enter_fingerprints(mini: Experiment, mini_plan: Plan) -> None:
    """Nor do resources and SQL."""
    for number in (1, 5):
        plan = compile_experiment(mini, SPECS, shards=number)
        assert [task.fingerprint for task in plan.tasks] == [task.fingerprint for task in mini_plan.tasks]


@given(st.builds(Parallelism, tensor=st.integers(1, 8), pipeline=st.integers(1, 4), data=st.integers(1, 100)))
def test_nodes_hold_all_devices_evenly(split: Parallelism) -> None:
    """No rank is left without a device, and no node is over-full."""
    assert split.devices % split.nodes == 0
    assert split.devices // split.nodes <= DEVICES_PER_NODE


def test_training_is_on_gpus_where_they_are(full_scale: dict[str, Plan], mini_plan: Plan) -> None:
    """And on a processor on a laptop."""
    for plan in (*full_scale.values(), mini_plan):
        for task in filter(is_training, plan.tasks):
            asked = task.resources
            assert asked.task_class == "train"
            if plan is mini_plan:
                assert (asked.gpus, asked.nodes) == (0, 1)
            else:
                assert asked.gpus * asked.nodes == task.op.job.parallelism.devices


def test_torch_asks_in_proportion_to_its_devices(mini_plan: Plan) -> None:
    """Processors and memory are those of one device, times the devices of a node."""
    (op, *_) = (task.op for task in mini_plan.tasks if is_training(task))
    asked = [resources(attrs.evolve(op, job=attrs.evolve(op.job, parallelism=Parallelism(data=n)))) for n in (1, 4, 16)]
    figures = [(found.cpus, found.memory_mb, found.gpus, found.nodes) for found in asked]
    assert figures == [(2, 4096, 0, 1), (8, 16_384, 4, 1), (16, 32_768, 8, 2)]


@pytest.mark.parametrize(
    ("devices", "figures"), [(1, (8, 64_000, 1, 1)), (4, (32, 256_000, 4, 1)), (16, (64, 512_000, 8, 2))]
)
def test_megatron_asks_in_proportion_to_its_devices(
    full_scale: dict[str, Plan], devices: int, figures: tuple[int, ...]
) -> None:
    """A whole node's processors and memory are for a whole node's devices; one device is a GPU, too."""
    op = full_scale["8b"].task("pretrain/train").op
    assert isinstance(op, ir.TrainNeMo)
    for kind in (ir.TrainNeMo, ir.TrainMegatron):
        asked = resources(kind(job=attrs.evolve(op.job, parallelism=Parallelism(data=devices))))
        assert (asked.cpus, asked.memory_mb, asked.gpus, asked.nodes) == figures


def test_every_task_of_a_benchmark_has_a_gpu(full_scale: dict[str, Plan]) -> None:
    """Generation without one takes days."""
    asked = [task.resources for task in full_scale["8b"].tasks if isinstance(task.op, ir.Benchmark)]
    assert asked
    assert {(one.task_class, one.gpus) for one in asked} == {("eval", 1)}
