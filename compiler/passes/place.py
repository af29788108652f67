"""place: shards, resources and SQL text for every task. None of it enters a fingerprint."""

from __future__ import annotations

import attrs

from compiler import ir
from compiler.draft import Draft
from compiler.emit.duckdb_sql import queries
from compiler.plan import Resources, Task

TrainOp = ir.TrainTorch | ir.TrainNeMo | ir.TrainMegatron


def place(draft: Draft) -> Draft:
    """Give each task its shards, what a shard asks for, and its queries."""
    placed = tuple(
        attrs.evolve(task, shards=shards(task.op, draft.shards), resources=resources(task.op), sql=queries(task.op))
        for task in draft.tasks
    )
    return attrs.evolve(draft, tasks=placed)


def shards(op: ir.Operator, wanted: int) -> int:
    """How many shards an operator runs in: those that read content split, those that see all rows do not."""
    if isinstance(op, ir.FetchPackages):
        return min(wanted, len(op.packages))
    if isinstance(op, ir.Edges):
        return min(wanted, op.bands + 1)
    return wanted if isinstance(op, ir.Sign | ir.Refine | ir.Encode | ir.MakePairs) else 1


def resources(op: ir.Operator) -> Resources:
    """Task class, processors, memory and devices of one shard."""
    if isinstance(op, TrainOp):
        devices = op.job.parallelism.devices
        if op.job.backend == "torch" and devices == 1:
            return Resources(task_class="train", cpus=2, memory_mb=4096)
        nodes = op.job.parallelism.nodes
        return Resources(task_class="train", cpus=64, memory_mb=512_000, gpus=devices // nodes, nodes=nodes)
    if isinstance(op, ir.Benchmark):
        return Resources(task_class="eval", cpus=8, memory_mb=65_536, gpus=1)
    if isinstance(op, ir.BitsPerByte | ir.NGram):
        return Resources(task_class="eval", cpus=2, memory_mb=4096)
    if isinstance(op, ir.FetchPackages):
        return Resources(task_class="fetch", cpus=1, memory_mb=1024)
    if isinstance(op, ir.Sign | ir.Refine | ir.Encode | ir.MakePairs):
        return Resources(task_class="data", cpus=1, memory_mb=2048)
    return Resources(task_class="group", cpus=2, memory_mb=4096)


def is_training(task: Task) -> bool:
    """Whether a task trains."""
    return isinstance(task.op, TrainOp)
