"""Stages as jobs: schedules that continue, batches that add up, and what each takes from the one before."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from compiler.passes.lower_training import batches_of, model_shape, schedule_of
from compiler.plan import Plan
from compiler.trainjob import BatchPhase, SchedulePhase, TrainJob
from ocspec import WSD, Batches, Cosine, Experiment, Mixture, Part, Pretrain

TUNE = """
tune = FineTune(name="tune", instructions=("pairs",), epochs=2, samples=100, global_batch=8, max_length=32,
                schedule=Cosine(peak=1e-4, warmup_steps=5, end=1e-6), start_step=7)
pairs = FunctionPairs(name="pairs", dataset="code")
"""


def jobs(plan: Plan) -> dict[str, TrainJob]:
    return {stage.name: plan.task(stage.task).op.job for stage in plan.stages}


def stage(schedule: WSD | Cosine) -> Pretrain:
    batches = Batches(steps=6, global_batch=2, sequence_length=8), Batches(steps=4, global_batch=1, sequence_length=16)
    return Pretrain(
        name="base", mixture=Mixture(parts=(Part(dataset="code", weight=1),)), batches=batches, schedule=schedule
    )


@pytest.mark.parametrize(
    ("schedule", "phases"),
    [
        (WSD(peak=2.0, warmup_steps=3), [("linear", 3, 0.0, 2.0), ("constant", 7, 2.0, 2.0)]),
        (WSD(peak=2.0, warmup_steps=0), [("constant", 10, 2.0, 2.0)]),
        (Cosine(peak=2.0, warmup_steps=3, end=0.5), [("linear", 3, 0.0, 2.0), ("cosine", 7, 2.0, 0.5)]),
        (Cosine(peak=2.0, warmup_steps=0), [("cosine", 10, 2.0, 0.0)]),
    ],
)
def test_schedules_span_all_phases_of_batches(schedule: WSD | Cosine, phases: list) -> None:
    """Warm-up, then the rest; no phase of no steps."""
    found = schedule_of(stage(schedule), None)
    assert [attrs.astuple(phase) for phase in found] == phases
    assert sum(phase.steps for phase in found) == sum(batch.steps for batch in batches_of(stage(schedule)))


def test_annealing_goes_on_from_where_pretraining_stood(compiled: Callable[[str], Plan]) -> None:
    """The rate is continuous, the state is taken over, and the stage before saves it at that step."""
    text = """
anneal = Anneal(name="decay", mixture=mix("code"), batches=BATCHES, schedule=Decay(end=1e-5, shape="linear"),
                start_step=8)
experiment = small(pretrain(), anneal)
"""
    base, decay = jobs(compiled(text)).values()
    assert (base.kind, base.start_from, base.start_step, base.save_at) == ("pretrain", "random", None, 8)
    assert (decay.kind, decay.start_from, decay.start_step, decay.save_at) == ("anneal", "state", 8, None)
    assert decay.schedule == (SchedulePhase(shape="linear", steps=10, start=1e-3, end=1e-5),)
    assert decay.schedule[0].start == base.schedule[-1].end


def test_annealing_goes_on_from_the_end_of_a_cosine(compiled: Callable[[str], Plan]) -> None:
    """Not from its peak."""
    text = """
base = pretrain(schedule=Cosine(peak=1e-2, warmup_steps=2, end=1e-3))
anneal = Anneal(name="decay", mixture=mix("code"), batches=BATCHES, schedule=Decay(end=1e-5))
experiment = small(base, anneal)
"""
    assert jobs(compiled(text))["decay"].schedule == (
        SchedulePhase(shape="exponential", steps=10, start=1e-3, end=1e-5),
    )


def test_tuning_takes_weights_only(compiled: Callable[[str], Plan]) -> None:
    """A fresh optimizer, its own schedule, the loss on answers; 2 x 100 samples are 25 steps of 8."""
    base, tune = jobs(compiled(f"{TUNE}experiment = small(pretrain(), tune, instructions=(pairs,))")).values()
    assert (tune.kind, tune.start_from, tune.start_step, tune.loss_on) == ("finetune", "weights", 7, "answer")
    assert (base.save_at, base.loss_on) == (7, "all")
    assert tune.batches == (BatchPhase(steps=25, global_batch=8, sequence_length=32),)
    assert [attrs.astuple(phase) for phase in tune.schedule] == [
        ("linear", 5, 0.0, 1e-4),
        ("cosine", 20, 1e-4, 1e-6),
    ]


def test_what_is_drawn_is_what_is_trained_on(mini_plan: Plan) -> None:
    """The draw and the job count the same sequences, phase by phase."""
    for summary in mini_plan.stages:
        draw, job = mini_plan.task(f"{summary.name}/mix").op, mini_plan.task(summary.task).op.job
        if job.kind == "finetune":
            assert draw.steps * draw.global_batch == summary.instances
            continue
        assert [(p.instances, p.sequence_length) for p in draw.phases] == [
            (b.steps * b.global_batch, b.sequence_length) for b in job.batches
        ]
        assert sum(share.share for share in draw.shares) == 1


def test_shares_are_exact_and_in_no_order(compiled: Callable[[str], Plan]) -> None:
    """Weights as they are written, normalised as fractions."""
    text = """
parts = Part(dataset="tree", weight=0.3, max_epochs=2.5), Part(dataset="code", weight=0.1)
tree = code(name="tree", sources=(Directory(name="tree", path="repositories"),))
experiment = small(pretrain(mixture=Mixture(parts=parts)), data=(code(), tree))
"""
    shares = compiled(text).task("base/mix").op.shares
    found = [(part.dataset, str(part.share), str(part.max_epochs)) for part in shares]
    assert found == [("code", "1/4", "1"), ("tree", "3/4", "5/2")]


def test_the_width_of_a_head_follows_where_it_is_not_given(mini: Experiment) -> None:
    """128 / 4."""
    assert mini.model.head_dim is None
    assert model_shape(mini.model, 2048).head_dim == 32
    assert model_shape(mini.model.replace(head_dim=16), 2048).head_dim == 16


def test_stages_that_measure_themselves_get_held_out_text(compiled: Callable[[str], Plan]) -> None:
    """One task for all that want the same of it; its identity is in those stages and in no other."""
    text = """
measured = pretrain(validate_every=2)
more = pretrain(name="more", validate_every=3)
large = pretrain(name="large", validate_every=2, validate_bytes=5)
silent = pretrain(name="silent", seed=1, validate_bytes=7)
experiment = small(measured, more, large, silent, hold_out=HoldOut(repositories=("beta",)))
"""
    plan = compiled(text)
    tasks = {task.id: task for task in plan.tasks}
    read = {
        stage: [item.task for item in tasks[f"{stage}/train"].inputs if item.role == "held_out"]
        for stage in ("base", "more", "large", "silent")
    }
    assert read == {"base": ["base/held-out"], "more": ["base/held-out"], "large": ["large/held-out"], "silent": []}
    op = tasks["base/held-out"].op
    assert (op.max_bytes, op.seed, tasks["large/held-out"].op.max_bytes) == (1_000_000, 0, 5)
    assert {item.role for item in tasks["base/held-out"].inputs} == {"documents", "tokenizer"}
    assert "before < 1000000" in tasks["base/held-out"].sql["held_out"]
    quiet = compiled(text.replace("validate_every=2", "validate_every=0").replace("validate_every=3", ""))
    assert not [task.id for task in quiet.tasks if task.op.op_id == "text.held_out"]
    assert quiet.task("silent/train").fingerprint == tasks["silent/train"].fingerprint
