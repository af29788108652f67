"""How far Bridge has counted: iterations and samples that its checkpoints go on from. Plain arithmetic of jobs.

Not a schedule: Bridge restores both figures from a checkpoint whose state it takes, and a job counts its own steps from
zero, so a configuration has to name the sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from compiler.trainjob import TrainJob


@attrs.frozen(kw_only=True)
class Count:
    """Optimizer steps and sequences since the optimizer's state was new."""

    iterations: int = 0
    samples: int = 0

    def after(self, job: TrainJob, steps: int) -> Count:
        """The count when so many steps of a job are done that began here."""
        assert 0 <= steps <= job.steps, (steps, job.steps)
        samples, left = self.samples, steps
        for batch in job.batches:
            taken = min(left, batch.steps)
            samples, left = samples + taken * batch.global_batch, left - taken
        return Count(iterations=self.iterations + steps, samples=samples)


def taken_from(job: TrainJob, before: Sequence[TrainJob]) -> Count | None:
    """The count of the checkpoint that a stage starts from; None for a stage that starts from nothing.

    `before`: the stages that it follows from, the first one first. Without a `start_step` it is the last one's end.
    """
    if job.start_from == "random":
        return None
    assert before, f"{job.stage} starts from a stage that is not given"
    last = before[-1]
    steps = last.steps if job.start_step is None else job.start_step
    return start_of(last, before[:-1]).after(last, steps)


def start_of(job: TrainJob, before: Sequence[TrainJob]) -> Count:
    """The count at which a stage begins: zero, unless it keeps the state of the one before."""
    taken = taken_from(job, before)
    return taken if taken is not None and job.start_from == "state" else Count()
