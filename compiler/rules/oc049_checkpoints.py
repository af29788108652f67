"""OC049: a failure does not cost more than a few hours of all devices."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import device, jobs, step_seconds

MOST_HOURS = 4.0
BETTER_HOURS = 0.5


def find(draft: Draft) -> Iterator[UserError]:
    """Checkpoints hours apart by the fastest estimate, and a cadence that is longer than the stage."""
    for stage, job in jobs(draft):
        every = stage.checkpoint_every
        if every > job.steps:
            yield draft.error(
                stage,
                f"{stage.name!r} is to save every {every:,} steps and has {job.steps:,}: nothing is saved on the way",
                f"set checkpoint_every to {max(1, job.steps // 10):,}, or to 0 if that is meant",
            )
            continue
        seconds = [step_seconds(job, batch, device(draft)) for batch in job.batches]
        slowest = max((second for second in seconds if second is not None), default=0.0)
        hours = min(every or job.steps, job.steps) * slowest / 3600
        if hours > MOST_HOURS:
            lost, better = hours * job.parallelism.devices, max(1, int(BETTER_HOURS * 3600 / slowest))
            yield draft.error(
                stage,
                f"{stage.name!r} saves every {every or job.steps:,} steps, {hours:.1f} hours or more on"
                f" {job.parallelism.devices} devices: a failure costs up to {lost:,.0f} device-hours",
                f"set checkpoint_every to about {_round(better):,}, half an hour",
            )


def _round(steps: int) -> int:
    """To one digit, as people write such numbers."""
    size = int(10 ** (len(str(steps)) - 1))
    return steps // size * size


RULE = Rule(
    "OC049",
    "checkpoints",
    "What was trained since the last checkpoint is trained again, on every device.",
    find,
    severity="warning",
    teach="""\
Large jobs fail: training Llama 3 on 16,384 GPUs was interrupted unexpectedly 419 times in 54 days (Grattafiori et al.
2024, arXiv 2407.21783, section 3.3.4), once in about 50,000 GPU-hours. Each time all devices go back to the last
checkpoint. OpenCoder kept one every 1,000 steps (its checkpoint cards), about 37 minutes of 512 GPUs for the 8B
(187.5 hours for 300,000 steps). That a driver which is preempted takes its run along is marin #2377. Hours are
reckoned from the job's operations and the most that was published of any device, so that they are at least so many.
""",
)
