"""The paper's learning rate at every step, as NeMo's scheduler gives it and as every run used it."""

from __future__ import annotations

import attrs
import pytest
import torch

from compiler.trainjob import SchedulePhase
from runtime.training.schedule import learning_rate
from tests.stacks.bench import JOB

PEAK, END, WARM_UP, PRETRAINING, ANNEALING = 3e-4, 1e-5, 2_000, 484_865, 23_841  # OpenCoder 1.5B, arXiv 2411.04905
PRETRAIN = (
    SchedulePhase(shape="linear", steps=WARM_UP, start=0.0, end=PEAK),
    SchedulePhase(shape="constant", steps=PRETRAINING - WARM_UP, start=PEAK, end=PEAK),
)
ANNEAL = (SchedulePhase(shape="exponential", steps=ANNEALING, start=PEAK, end=END),)


def paper(step: int) -> float:
    """The rate of a step (0-based) over pretraining and annealing, written out."""
    if step < PRETRAINING:
        return PEAK * min(1.0, (step + 1) / WARM_UP)
    return PEAK * (END / PEAK) ** ((step - PRETRAINING + 1) / ANNEALING)


@pytest.mark.parametrize(("phases", "first"), [(PRETRAIN, 0), (ANNEAL, PRETRAINING)])
def test_nemos_scheduler_is_at_the_papers_rate_at_every_step(phases, first):
    """To 1e-12 of the rate, over half a million steps; Megatron's engine and torch's set `learning_rate` itself."""
    from runtime.training.nemo.schedule import JobRate

    steps = sum(phase.steps for phase in phases)
    job = attrs.evolve(JOB, schedule=phases, batches=(attrs.evolve(JOB.batches[0], steps=steps),))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, largest = JobRate(optimizer, job, 0), 0.0
    for step in range(steps):
        rate = optimizer.param_groups[0]["lr"]
        assert rate == learning_rate(phases, step)
        largest = max(largest, abs(rate / paper(first + step) - 1))
        optimizer.step()
        scheduler.step()
    assert largest < 1e-12


def test_a_scheduler_that_goes_on_is_where_the_unbroken_one_is():
    """From any step, and past the end it stays."""
    from runtime.training.nemo.schedule import JobRate

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    JobRate(optimizer, JOB, 44)
    assert optimizer.param_groups[0]["lr"] == learning_rate(JOB.schedule, 44)
    JobRate(optimizer, JOB, JOB.steps)
    assert optimizer.param_groups[0]["lr"] == JOB.schedule[-1].end


@pytest.mark.parametrize("backend", ["torch", "megatron", "nemo"])
def test_every_run_used_the_rate_of_its_step(bench, backend):
    """As its metrics have it; NeMo's run asserts at each step that its scheduler agrees."""
    ended = bench.trained(backend, attrs.evolve(JOB, backend=backend))
    expected = [learning_rate(JOB.schedule, step) for step in range(JOB.steps)]
    assert [line["lr"] for line in ended.metrics] == expected
