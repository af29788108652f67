"""Expected seconds of a shard: near what was measured, None where nothing was, and outside every fingerprint."""

from __future__ import annotations

import json
import math
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler import ir, plan
from compiler.compile import compile_experiment
from compiler.cost.devices import speed
from compiler.cost.flops import training_flops
from compiler.cost.interval import Interval
from compiler.cost.size import Size
from compiler.cost.time import STARTUP, scoring_flops, shard_seconds, training_seconds
from compiler.passes.place import is_training
from compiler.plan import Plan, Resources
from compiler.quality_rules import DEFAULT_RULES
from compiler.trainjob import BatchPhase, ModelShape, SchedulePhase, TrainJob
from ocspec import Declared, Experiment, Parquet


def job() -> TrainJob:
    """A job of 10,000 parameters."""
    shape = ModelShape(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_layers=1, num_heads=2, num_kv_heads=2, head_dim=16,
        max_positions=16,
    )  # fmt: skip
    return TrainJob(
        stage="base",
        kind="pretrain",
        model=shape,
        schedule=(SchedulePhase(shape="constant", steps=3, start=1e-3, end=1e-3),),
        batches=(BatchPhase(steps=3, global_batch=4, sequence_length=16),),
    )


MEDIUM, LARGE = Size(85_482, 597_700_000), Size(507_197, 3_617_400_000)
TWO = Resources(cpus=2)
SIGN = ir.Sign(
    dataset="d",
    readers=(),
    near=(ir.MinHashKey(granularity="file", bands=16, rows=128),),
    admit=ir.AdmitRule(max_bytes=1),
)
EDGES = ir.Edges(granularity="file", exact=True, key=0, bands=16)
REFINE = ir.Refine(dataset="d", readers=(), redact_pii=True, rules=tuple(DEFAULT_RULES))
READERS = (SIGN, EDGES, REFINE, ir.Encode(dataset="d"), ir.Select(step="s", keywords=("x",)))


@pytest.mark.parametrize(
    ("op", "size", "shards", "measured"),
    [
        (SIGN, MEDIUM, 1, 597.7 / 69.5),
        (SIGN, LARGE, 1, 3617.4 / 80.0),
        (EDGES, LARGE, 4, 1.3 + STARTUP / 2),
        (EDGES, LARGE, 136, 0.3 + STARTUP / 2),
        (REFINE, MEDIUM, 1, 597.7 / 4.16),
        (ir.Cluster(step="s", granularity="file"), LARGE, 1, 2.1 + STARTUP / 2),
        (ir.Select(step="s", keywords=("x",)), LARGE, 1, 4.6 + STARTUP / 2),
    ],
)
def test_an_estimate_is_near_what_was_measured(op: ir.Operator, size: Size, shards: int, measured: float) -> None:
    """Within half of the figures of benchmarks/RESULTS.md, whose start-up is not that of a worker."""
    expected = shard_seconds(op, size, shards, TWO)
    assert expected is not None
    assert measured / 1.5 < expected < measured * 1.5


def test_training_of_the_miniature(mini_plan: Plan) -> None:
    """168 s for its four stages."""
    seconds = [task.resources.seconds for task in mini_plan.tasks if is_training(task)]
    assert len(seconds) == 4
    assert sum(seconds) == pytest.approx(168, rel=0.1)


@pytest.mark.parametrize(("name", "reported"), [("8b", 96_000), ("1_5b", 28_034)])
def test_gpu_hours_of_opencoder_on_an_unknown_device(full_scale: dict[str, Plan], name: str, reported: int) -> None:
    """The plan's own figure knows no device: within twice what is reported for pretraining and annealing."""
    tasks = [full_scale[name].task(f"{stage}/train") for stage in ("pretrain", "anneal")]
    hours = sum(t.resources.seconds * t.resources.gpus * t.resources.nodes for t in tasks) / 3600
    assert reported / 2 < hours < reported * 2


def test_all_devices_of_a_job_count(full_scale: dict[str, Plan]) -> None:
    """Also those of other nodes."""
    task = full_scale["8b"].task("pretrain/train")
    job = task.op.job
    seconds = training_seconds(job, task.resources, "H100") * job.parallelism.devices
    assert seconds.low == pytest.approx(training_flops(job) / speed("H100", job.model.parameters).high, rel=0.001)
    assert seconds.high == pytest.approx(training_flops(job) / speed("H100", job.model.parameters).low, rel=0.001)


def test_recomputation_costs_up_to_what_it_repeats(full_scale: dict[str, Plan]) -> None:
    """A GPU may hide it; it is never faster."""
    task = full_scale["8b"].task("pretrain/train")
    none, full = (
        training_seconds(attrs.evolve(task.op.job, recompute=mode), task.resources, "H100") for mode in ("none", "full")
    )
    assert none.low == full.low
    assert 1.2 < full.high / none.high < 4 / 3


def test_a_small_model_on_a_gpu_has_no_upper_bound() -> None:
    """It does not keep the device busy; how far it falls short is not known, so a plan has no seconds for it."""
    op = ir.TrainTorch(job=job())
    assert not training_seconds(op.job, Resources(gpus=1), "H100").is_known
    assert shard_seconds(op, None, 1, Resources(gpus=1)) is None
    assert shard_seconds(op, None, 1, Resources()) is not None


@given(st.sampled_from(READERS), st.integers(0, 10**9), st.integers(0, 10**15), st.integers(1, 5000))
def test_more_shards_are_never_longer(op: ir.Operator, documents: int, num_bytes: int, shards: int) -> None:
    """And none is shorter than its start."""
    size = Size(documents, num_bytes)
    seconds = [shard_seconds(op, size, number, TWO) for number in (shards, shards + 1)]
    assert STARTUP <= seconds[1] <= seconds[0] < math.inf


@pytest.mark.parametrize("op", [*READERS, ir.Pack(dataset="d"), ir.Cluster(step="s", granularity="file")])
def test_what_is_not_known_is_none(op: ir.Operator) -> None:
    """Never zero."""
    assert shard_seconds(op, None, 1, TWO) is None


@pytest.mark.parametrize(
    "op",
    [
        ir.FetchPackages(source="s", packages=()),
        ir.Benchmark(stage="s", benchmark="humaneval", settings=()),
        ir.BitsPerByte(stage="s", max_bytes=0),
    ],
)
def test_what_was_not_measured_is_none(op: ir.Operator) -> None:
    """The network, generation, and held-out text of unknown length."""
    assert shard_seconds(op, LARGE, 1, TWO, model=job().model) is None


def test_scoring_counts_attention_as_training_does(full_scale: dict[str, Plan]) -> None:
    """A third of what training the same tokens at the model's full length takes, for tokens that are read twice."""
    for one in full_scale.values():
        trained = one.task("pretrain/train").op.job
        model = trained.model
        text = Interval.exact(3 * model.max_positions)
        batches = (BatchPhase(steps=3, global_batch=1, sequence_length=model.max_positions),)
        found = scoring_flops(model, text)
        assert found == Interval(0, 2 * training_flops(attrs.evolve(trained, batches=batches)) // 3)
        multiplying = model.parameters - (0 if model.tied_embeddings else model.vocab_size * model.hidden_size)
        assert found.high > 2 * text.high * 2 * multiplying


def test_the_plan_has_it_and_no_fingerprint_does(mini: Experiment, tmp_path: Path) -> None:
    """A hundred times the bytes: longer shards, the same identities; a plan keeps it in its file."""

    def plan_of(num_bytes: int) -> Plan:
        source = Parquet(name="big", path="a/*.parquet", declared=Declared(bytes=num_bytes, documents=1000))
        data = (mini.data[0].replace(sources=(source,)), *mini.data[1:])
        return compile_experiment(mini.replace(data=data), tmp_path)

    small, big = plan_of(10**8), plan_of(10**10)
    assert small.task("code/refine").resources.seconds < big.task("code/refine").resources.seconds
    assert [task.fingerprint for task in small.tasks] == [task.fingerprint for task in big.tasks]
    assert plan.loads(plan.dumps(big)) == big


def test_a_plan_without_estimates_is_read(mini_plan: Plan) -> None:
    """One that does not say how long its shards are."""
    data = json.loads(plan.dumps(attrs.evolve(mini_plan, tasks=mini_plan.tasks[:1])))
    (task,) = data["tasks"]
    assert task["resources"].pop("seconds") is None
    del data["digest"]
    assert plan.loads(plan.seal(data)).tasks[0].resources.seconds is None
