"""OC047: a pipeline has enough micro batches to be filled."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import jobs

MOST = 0.5


def find(draft: Draft) -> Iterator[UserError]:
    """Pipelines that wait for more than half as long as they work."""
    for stage, job in jobs(draft):
        split = job.parallelism
        for batch in job.batches:
            micro_batches = batch.global_batch // (job.micro_batch * split.data)
            if split.pipeline == 1 or not micro_batches:
                continue
            bubble = (split.pipeline - 1) / micro_batches
            if bubble > MOST:
                yield draft.error(
                    stage,
                    f"{stage.name!r}: {split.pipeline} pipeline stages and {micro_batches} micro"
                    f" batch{'es' * (micro_batches != 1)}: devices wait"
                    f" {bubble:.0%} of the time that they work",
                    f"have {2 * (split.pipeline - 1)} micro batches or more: lower micro_batch, data or pipeline",
                )
                break


RULE = Rule(
    "OC047",
    "bubble",
    "A pipeline that is never full pays for devices that wait.",
    find,
    severity="warning",
    teach="""\
With p pipeline stages and m micro batches in a step, devices wait for (p - 1) / m of the time in which they work
(Narayanan et al. 2021, arXiv 2104.04473, section 2.2). m is global batch / (micro batch x replicas), so that adding
replicas to a fixed batch empties the pipeline: at p = 8 and m = 8 seven eighths of the work's time are lost again.
The loss is the same to the last bit, which is why nobody looks. OpenCoder avoids pipelines altogether: 512 GPUs are 2
tensor ranks x 256 replicas (arXiv 2411.04905, section 3.2).
""",
)
