"""The learning rate of a step: a pure function of the phases, so that a resumed run needs no scheduler state.

Not torch's `lr_scheduler` and not Megatron's: "exponential" is the true one, `start * (end / start) ** p`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from compiler.errors import UserError
from compiler.trainjob import SchedulePhase


def learning_rate(phases: Sequence[SchedulePhase], step: int) -> float:
    """The learning rate of optimizer step `step` (0-based over all phases).

    Warm-up, hold and exponential decay (WSD, arXiv 2404.06395) are three phases, wherever a stage's border
    falls. Raises ValueError for a step outside the phases.

    >>> wsd = [
    ...     SchedulePhase(shape="linear", steps=2, start=0.0, end=1.0),
    ...     SchedulePhase(shape="constant", steps=1, start=1.0, end=1.0),
    ...     SchedulePhase(shape="exponential", steps=2, start=1.0, end=0.25),
    ... ]
    >>> [learning_rate(wsd, step) for step in range(5)]
    [0.5, 1.0, 1.0, 0.5, 0.25]
    """
    first = 0
    for phase in phases:
        if first <= step < first + phase.steps:
            return _along(phase, (step - first + 1) / phase.steps)
        first += phase.steps
    raise ValueError(f"step {step} is outside the {first} steps of the schedule")


def _along(phase: SchedulePhase, progress: float) -> float:
    """The phase's learning rate at `progress` in (0, 1]."""
    start, end = phase.start, phase.end
    if phase.shape == "linear":
        return start + (end - start) * progress
    if phase.shape == "exponential":
        rate: float = start * (end / start) ** progress
        return rate
    if phase.shape == "cosine":
        return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
    return start


def check_schedule(phases: Sequence[SchedulePhase], steps: int) -> None:
    """Raise UserError where the phases do not cover exactly `steps`, or an exponential phase touches zero."""
    covered = sum(phase.steps for phase in phases)
    if covered != steps:
        raise UserError(
            f"the learning-rate schedule covers {covered} steps, the batches {steps}",
            fix="let the steps of the schedule's phases add up to those of the batches",
        )
    for number, phase in enumerate(phases):
        if phase.shape == "exponential" and not (phase.start > 0 and phase.end > 0):
            raise UserError(
                f"schedule phase {number}: exponential from {phase.start} to {phase.end}, not positive",
                fix="end at a small positive learning rate, or decay linearly",
            )
