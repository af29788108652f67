"""OC013: a stage is split only along axes that its back end splits, and along none that has one device."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from ocspec.training import Stage

AXES = ("tensor", "pipeline", "context")


def find(draft: Draft) -> Iterator[UserError]:
    """Axes on torch, full sharding elsewhere, context without its kernels, sequence parallelism over one device."""
    for stage in draft.experiment.curriculum.stages:
        split = stage.parallelism
        if stage.backend == "torch":
            yield from _on_torch(draft, stage)
        elif split.fully_sharded:
            yield draft.error(
                stage,
                f"{stage.name!r}: fully_sharded is for backend 'torch'; {stage.backend!r} does not shard weights",
                'use distributed_optimizer=True, or backend="torch"',
            )
        if stage.backend != "torch" and split.context > 1 and stage.kernels == "portable":
            yield draft.error(
                stage,
                f"{stage.name!r}: context {split.context} with kernels 'portable'; only Transformer Engine's attention "
                "splits a sequence over devices",
                'set kernels="fused" (or "auto", where the nodes have it), or context to 1',
            )
        if split.sequence_parallel and split.tensor == 1:
            yield draft.error(
                stage,
                f"{stage.name!r}: sequence_parallel splits over the tensor devices, and tensor is 1",
                "raise tensor, or leave sequence_parallel out",
            )


def _on_torch(draft: Draft, stage: Stage) -> Iterator[UserError]:
    wanted = [f"{axis} {getattr(stage.parallelism, axis)}" for axis in AXES if getattr(stage.parallelism, axis) > 1]
    if wanted:
        yield draft.error(
            stage,
            f"{stage.name!r}: {', '.join(wanted)} on backend 'torch', which splits the batch over data only",
            'use data, or backend="megatron"',
        )


RULE = Rule(
    "OC013",
    "back end",
    "A split that nothing carries out would train other ranks on the same batch.",
    find,
    teach="""\
torch as used here splits the batch and shards weights; tensor, pipeline and context parallelism need Megatron. A
trainer that passes over a setting which it does not know is the dearest kind: the ranks all run, the loss falls, and
they train on the same samples. torchtitan's house rule is that code which skips a user's
configuration says so. Attention over a split sequence exists in Transformer Engine only, so `kernels="portable"`
excludes it.
""",
)
