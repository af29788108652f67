"""OC051: the precision is one that the devices are quick in."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule


def find(draft: Draft) -> Iterator[UserError]:
    """bf16 on processors, and fp32 on more than one device or under Megatron."""
    for stage in draft.experiment.curriculum.stages:
        devices = stage.parallelism.devices
        on_processors = stage.backend == "torch" and devices == 1
        if stage.precision == "bf16" and on_processors:
            yield draft.error(
                stage,
                f"{stage.name!r} asks for bf16, and one device on backend 'torch' is planned as processors",
                'use precision="auto": bf16 where there is a GPU, fp32 where there is none',
            )
        elif stage.precision == "fp32" and not on_processors:
            yield draft.error(
                stage,
                f"{stage.name!r} asks for fp32 on backend {stage.backend!r} and {devices} device{'s' * (devices != 1)},"
                " which leaves tensor cores idle",
                'use precision="bf16"; sums and the optimizer stay in fp32',
            )


RULE = Rule(
    "OC051",
    "precision",
    "The wrong one of two formats is ten times slower, on either kind of device.",
    find,
    severity="warning",
    teach="""\
A GPU multiplies bf16 on tensor cores: an A100 does 312e12 operations a second there and 19.5e12 in fp32 (NVIDIA's
data sheet). A processor without such units has the reverse: on AVX2 bf16 was measured ten times slower than fp32. A
spec that moves from a laptop to a cluster or back takes its precision along, trains correctly, and is slow.
OpenCoder's checkpoints are bf16 (config.json of the released checkpoints). `auto` asks the device.
""",
)
