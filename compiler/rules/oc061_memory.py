"""OC061: weights, gradients, optimizer and activations of a rank fit a device."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from compiler.cost.devices import DEVICES
from compiler.cost.memory import rank_memory
from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.rules.common import device, jobs
from compiler.trainjob import TrainJob

MIB = 2**20


def find(draft: Draft) -> Iterator[UserError]:
    """Jobs whose fullest rank needs more than the profile's device has, or than any known one."""
    name = device(draft) or max(DEVICES, key=lambda name: DEVICES[name].memory_mb or 0)
    has = (DEVICES[name].memory_mb or 0) * MIB if name in DEVICES else 0
    for stage, job in jobs(draft):
        if (job.backend == "torch" and job.parallelism.devices == 1) or not _even(job) or not has:
            continue
        needed = rank_memory(job, element=4 if job.precision == "fp32" else 2)
        if needed.total > has:
            terms = {name: size for name, size in attrs.asdict(needed).items() if size}
            told = ", ".join(f"{what} {size / 1e9:.1f}" for what, size in terms.items())
            yield draft.error(
                stage,
                f"{stage.name!r} needs {needed.total / 1e9:.0f} GB on its fullest rank ({told}), and an {name} has"
                f" {has / 1e9:.0f}",
                _fix(job),
            )


def _even(job: TrainJob) -> bool:
    """Whether the job divides at all, which other rules ask."""
    split, model = job.parallelism, job.model
    whole = model.num_layers % split.pipeline == 0 and model.num_heads % split.tensor == 0
    return whole and all(batch.global_batch >= job.micro_batch * split.data for batch in job.batches)


def _fix(job: TrainJob) -> str:
    """What saves most, of what is not done yet."""
    split = job.parallelism
    ways = []
    if split.data > 1 and not split.distributed_optimizer and not split.fully_sharded:
        ways.append("distributed_optimizer=True" if job.backend != "torch" else "fully_sharded=True")
    if job.recompute != "full":
        ways.append('recompute="full"')
    if job.micro_batch > 1:
        ways.append("a smaller micro_batch")
    return f"try {', '.join([*ways, 'more tensor or pipeline ranks'])}"


RULE = Rule(
    "OC061",
    "memory",
    "Out of memory is found out at the first step, or at the first long batch.",
    find,
    teach="""\
A parameter of Megatron's in bf16 takes 18 bytes: 2 for the weight, 4 for the gradient, 12 for the master weight and
Adam's two moments, which a distributed optimizer divides by the replicas. Activations are about 34 bytes for each
token and unit of width in every layer (Korthikanti et al. 2022, arXiv 2205.05198, section 4). Megatron-Bridge has
these formulae (theoretical_memory_utils.py) and prints them once the job runs. OpenCoder 8B on 2 tensor ranks without
a distributed optimizer takes 70 of an H100's 80 GB before any activation, which is why the spec of it here splits the
optimizer. Buffers and fragmentation come on top: what is refused here cannot fit, what passes may be tight.
""",
)
