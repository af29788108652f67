"""The rehearsal of a plan: small jobs with the structure of the large ones, on made-up data."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler import ir
from compiler.errors import UserError
from compiler.plan import Plan, dumps, loads
from compiler.profile import Profile
from compiler.smoke import scaled_step, shrunk, shrunk_batches, shrunk_model, shrunk_schedule, smoke
from compiler.trainjob import BatchPhase, ModelShape, Parallelism, SchedulePhase, TrainJob
from compiler.write import write_plan

STAGES = ("pretrain", "anneal", "sft_1", "sft_2")


@pytest.fixture(scope="module")
def small(full_scale: dict[str, Plan]) -> dict[str, Plan]:
    return {size: smoke(plan) for size, plan in full_scale.items()}


def jobs(plan: Plan) -> dict[str, TrainJob]:
    return {task.op.job.stage: task.op.job for task in plan.tasks if isinstance(task.op, ir.TrainOp)}


@pytest.mark.parametrize("size", ["1_5b", "8b"])
def test_it_trains_every_stage_and_measures_none(small: dict[str, Plan], size: str) -> None:
    """No task reads a source, and every task's inputs are there, before it."""
    plan = small[size]
    assert tuple(jobs(plan)) == STAGES
    ops = {task.op.op_id for task in plan.tasks}
    assert ops == {"smoke.tokenizer", "smoke.data", "mix.draw", "mix.draw_samples", "train.nemo"}
    seen: set[str] = set()
    for task in plan.tasks:
        assert set(task.upstream) <= seen
        assert task.id not in seen
        seen.add(task.id)


def test_it_has_a_name_and_identities_of_its_own(full_scale: dict[str, Plan], small: dict[str, Plan]) -> None:
    """Nothing that it makes can be taken for a result."""
    assert small["8b"].experiment == "opencoder-8b-smoke"
    real = {task.fingerprint for plan in full_scale.values() for task in plan.tasks}
    made = [task.fingerprint for task in small["8b"].tasks]
    assert len(set(made)) == len(made)
    assert not real & set(made)


def test_stages_go_on_from_one_another_as_they_did(full_scale: dict[str, Plan], small: dict[str, Plan]) -> None:
    """From the same stage, with the same of its state, at a step that it keeps."""
    for size, plan in small.items():
        before = None
        for name, job in jobs(plan).items():
            real = jobs(full_scale[size])[name]
            assert (job.kind, job.start_from, job.loss_on, job.seed) == (
                real.kind, real.start_from, real.loss_on, real.seed,
            )  # fmt: skip
            assert (job.start_step is None) == (real.start_step is None)
            if before and job.start_step is not None:
                assert job.start_step == before.save_at
            init = [item.task for item in plan.task(f"{name}/train").inputs if item.role == "init"]
            assert init == ([f"{before.stage}/train"] if before else [])
            before = job


def test_only_the_last_step_becomes_the_last(small: dict[str, Plan]) -> None:
    """The 8B is annealed from its last step, the 1.5B from one before; both are tuned from before annealing's end."""
    large, little = jobs(small["8b"]), jobs(small["1_5b"])
    assert large["pretrain"].save_at == large["pretrain"].steps
    assert little["pretrain"].save_at == 6  # 8 x 373,000 / 484,865 = 6.2
    assert large["anneal"].save_at == little["anneal"].save_at == 7
    assert large["anneal"].steps == little["anneal"].steps == 8


def test_two_phases_of_sequence_lengths_stay_two(small: dict[str, Plan]) -> None:
    """4096 and 8192 become 64 and 128."""
    short, long = jobs(small["8b"])["pretrain"].batches
    assert (short.sequence_length, long.sequence_length) == (64, 128)
    draw = small["8b"].task("pretrain/mix").op
    assert isinstance(draw, ir.Draw)
    assert [(p.instances, p.sequence_length) for p in draw.phases] == [(32, 64), (32, 128)]


def test_the_curve_of_the_learning_rate_stays(small: dict[str, Plan]) -> None:
    """Warm-up, hold and decay, with the rates of the paper."""
    pretrain, anneal, tune, _ = jobs(small["8b"]).values()
    warmup, hold = pretrain.schedule
    assert (warmup.shape, warmup.steps, warmup.start, warmup.end) == ("linear", 2, 0.0, 3e-4)
    assert (hold.shape, hold.steps, hold.start) == ("constant", 14, 3e-4)
    assert [(p.shape, p.steps, p.start, p.end) for p in anneal.schedule] == [("exponential", 8, 3e-4, 1e-5)]
    assert [(p.shape, p.steps) for p in tune.schedule] == [("linear", 2), ("cosine", 6)]


def test_it_runs_on_this_machine(small: dict[str, Plan]) -> None:
    """One process in fp32, by the back end that was asked for."""
    for task in small["8b"].tasks:
        assert task.resources.gpus == 0
        assert task.resources.memory_mb <= 4096
        if isinstance(task.op, ir.TrainNeMo):
            job = task.op.job
            assert job.parallelism == Parallelism()
            assert (job.backend, job.precision, job.model.num_layers) == ("nemo", "fp32", 2)
            assert job.batches[0].global_batch % job.micro_batch == 0
            assert job.batches[0].global_batch > job.micro_batch  # gradients are accumulated
            assert max(b.sequence_length for b in job.batches) <= job.model.max_positions


def test_mixtures_keep_their_shares_and_have_the_data_for_them(small: dict[str, Plan], full_scale: dict[str, Plan]):
    """Data of one name in two stages is one task, which holds enough for either."""
    for name in ("pretrain", "anneal"):
        real, draw = full_scale["8b"].task(f"{name}/mix"), small["8b"].task(f"{name}/mix")
        assert isinstance(real.op, ir.Draw)
        assert isinstance(draw.op, ir.Draw)
        assert [(s.dataset, s.share) for s in draw.op.shares] == [(s.dataset, s.share) for s in real.op.shares]
        assert draw.inputs == tuple(item for item in real.inputs if item.role == "tokens")
        for share, item in zip(draw.op.shares, draw.inputs, strict=True):
            data = small["8b"].task(item.task).op
            assert isinstance(data, ir.SmokeData)
            assert data.dataset == share.dataset
            assert data.num_tokens > jobs(small["8b"])[name].tokens


def test_samples_are_enough_for_the_epochs(small: dict[str, Plan]) -> None:
    """Tuning sees each as often as the stage says, and no more are made."""
    op = small["8b"].task("sft_2/mix").op
    assert isinstance(op, ir.DrawSamples)
    assert (op.epochs, len(op.datasets), op.steps, op.global_batch) == (3, 4, 8, 4)
    data = [small["8b"].task(f"sft_2/encode-{name}").op for name in op.datasets]
    assert [d.num_samples for d in data if isinstance(d, ir.SmokeData)] == [3] * 4  # 32 / 3 epochs / 4 data sets


def test_the_plan_round_trips_and_goes_through_the_emitters(small: dict[str, Plan], tmp_path) -> None:
    """What is written is what a cluster would be handed: job, back end's settings, batch script."""
    plan = small["8b"]
    assert loads(dumps(plan)) == plan
    write_plan(plan, tmp_path, tmp_path, Profile())
    for stage in STAGES:
        folder = tmp_path / "training" / stage / "train"
        assert json.loads((folder / "job.json").read_text())["devices"] == 1
        assert json.loads((folder / "megatron.json").read_text())["TransformerConfig"]["num_layers"] == 2
        assert (folder / "nemo.yaml").is_file()
        assert (tmp_path / "sbatch" / stage / "train.sh").is_file()


def test_an_experiment_for_a_laptop_has_one_too(mini_plan: Plan) -> None:
    """Of the torch back end; its evaluations are gone."""
    plan = smoke(mini_plan)
    assert {task.op.op_id for task in plan.tasks if task.resources.task_class == "train"} == {"train.torch"}
    assert not [task for task in plan.tasks if task.resources.task_class == "eval"]


def test_a_plan_that_trains_nothing_is_refused(mini_plan: Plan) -> None:
    """By name."""
    untrained = attrs.evolve(mini_plan, tasks=mini_plan.tasks[:2])
    with pytest.raises(UserError, match="'opencoder_mini' trains nothing"):
        smoke(untrained)


@pytest.mark.parametrize(("heads", "groups"), [(32, 8), (14, 14), (32, 1), (4, 2), (64, 8), (1, 1)])
def test_as_many_queries_share_a_head_as_before(heads: int, groups: int) -> None:
    """And the width is that of the heads, where it was."""
    large = ModelShape(
        vocab_size=100_000, hidden_size=heads * 64, intermediate_size=heads * 192, num_layers=9, num_heads=heads,
        num_kv_heads=groups, head_dim=64, max_positions=4096,
    )  # fmt: skip
    model = shrunk_model(large)
    assert Fraction(model.num_heads, model.num_kv_heads) == Fraction(heads, groups)
    assert model.hidden_size == model.num_heads * model.head_dim
    assert model.intermediate_size == 3 * model.hidden_size
    assert model.parameters < 10_000_000


LENGTHS = st.sampled_from([512, 1024, 1536, 4096])
BATCHES = st.lists(
    st.builds(BatchPhase, steps=st.integers(1, 100_000), global_batch=st.just(8), sequence_length=LENGTHS),
    min_size=1,
    max_size=3,
)


@given(BATCHES, st.data())
def test_steps_and_schedule_of_any_job_fit(batches: list[BatchPhase], data: st.DataObject) -> None:
    """Both count the same steps, a kept step is one of them, and only the last becomes the last."""
    total = sum(batch.steps for batch in batches)
    warmup = data.draw(st.integers(0, total - 1))
    schedule = [
        SchedulePhase(shape="linear", steps=warmup, start=0.0, end=1.0),
        SchedulePhase(shape="constant", steps=total - warmup, start=1.0, end=1.0),
    ][0 if warmup else 1 :]
    short = shrunk_batches(batches)
    steps = sum(batch.steps for batch in short)
    curve = shrunk_schedule(schedule, steps)
    assert sum(phase.steps for phase in curve) == steps
    assert all(phase.steps > 0 for phase in curve)
    assert all(max(b.sequence_length for b in short) % batch.sequence_length == 0 for batch in short)
    job = TrainJob(stage="a", kind="pretrain", model=SHAPE, schedule=tuple(schedule), batches=tuple(batches))
    step = data.draw(st.integers(1, total))
    kept = scaled_step(job, short, step)
    assert 1 <= kept <= steps
    assert scaled_step(job, short, total) == steps
    if step < total and steps > 1:
        assert kept < steps


SHAPE = ModelShape(
    vocab_size=300, hidden_size=64, intermediate_size=64, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=16,
    max_positions=64,
)  # fmt: skip
JOB = TrainJob(
    stage="a",
    kind="pretrain",
    model=SHAPE,
    schedule=(SchedulePhase(shape="constant", steps=9, start=1.0, end=1.0),),
    batches=(BatchPhase(steps=9, global_batch=8, sequence_length=64),),
    kernels="fused",
    recompute="full",
    validate_every=3,
)


def test_what_a_processor_lacks_is_not_asked_for() -> None:
    """Fused kernels; a vocabulary smaller than the rehearsal's stays, and so does what any device can do."""
    small = shrunk(JOB)
    assert (small.kernels, small.recompute, small.validate_every, small.checkpoint_every) == ("auto", "full", 0, 0)
    assert small.model.vocab_size == 300
    assert shrunk(attrs.evolve(JOB, kernels="portable", checkpoint_every=1000)).kernels == "portable"
    assert shrunk(attrs.evolve(JOB, checkpoint_every=1000)).checkpoint_every == 4


def test_a_source_that_is_not_here_does_not_matter(compiled: Callable[[str], Plan]) -> None:
    """Declared sources compile without their files, and a rehearsal reads none."""
    text = """
source = JsonLines(name="far", path="/nowhere/far.jsonl", declared=Declared(tokens=10_000_000))
far = Dataset(name="far", sources=(source,))
experiment = small(pretrain(mixture=mix("far")), data=(far,), evaluations=())
"""
    plan = smoke(compiled(text))
    assert "nowhere" not in json.dumps([attrs.asdict(task.op, recurse=False) for task in plan.tasks], default=str)
