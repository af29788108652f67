"""place: shards, resources and SQL text for every task. None of it enters a fingerprint."""

from __future__ import annotations

import math
from functools import partial

import attrs

from compiler import ir
from compiler.cost.disk import temporary_disk
from compiler.cost.size import Size, dataset_sizes, planned_shards
from compiler.cost.time import model_of, shard_seconds
from compiler.draft import Draft
from compiler.emit.duckdb_sql import queries
from compiler.plan import Resources, Task
from compiler.trainjob import ModelShape
from ocspec.refinement import MB

CLEANING = ir.Decontaminate | ir.DecontaminatePairs
CRAWL = ir.SampleWeb | ir.ScoreWeb | ir.RecallWeb


def place(draft: Draft) -> Draft:
    """Give each task its shards, what a shard asks for, and its queries."""
    sizes = dataset_sizes(draft)
    model = model_of(draft.tasks)
    same = draft.memo.first((draft.shards, draft.experiment.shard_bytes, tuple(sizes.items()), model))
    placed = (
        draft.memo.get("placed", (task, same), partial(_placed, draft, task, sizes, model)) for task in draft.tasks
    )
    return attrs.evolve(draft, tasks=tuple(placed))


def _placed(draft: Draft, task: Task, sizes: dict[str, Size | None], model: ModelShape | None) -> Task:
    """A task of a data set is called DATASET/STEP; as many shards as the spec says, or as its data set's bytes need."""
    size = sizes.get(task.id.partition("/")[0])
    number = shards(task.op, draft.shards or planned_shards(size, draft.experiment.shard_bytes))
    disk = temporary_disk(task.op, size, number)
    asked = resources(task.op)
    seconds = shard_seconds(task.op, size, number, asked, model)
    asked = attrs.evolve(
        asked,
        disk_mb=None if disk is None else -(-disk // MB),
        seconds=None if seconds is None else math.ceil(seconds),
    )
    return attrs.evolve(task, shards=number, resources=asked, sql=queries(task.op))


def shards(op: ir.Operator, wanted: int) -> int:
    """How many shards an operator runs in: those that read content split, those that see all rows do not."""
    if isinstance(op, ir.FetchPackages):
        return min(wanted, len(op.packages))
    reading = ir.Sign | ir.Edges | ir.Refine | ir.Encode | ir.MakePairs | CLEANING | CRAWL
    return wanted if isinstance(op, reading) else 1


def resources(op: ir.Operator) -> Resources:
    """Task class, processors, memory and devices of one shard."""
    if isinstance(op, ir.TrainOp):
        nodes = op.job.parallelism.nodes
        devices = op.job.parallelism.devices // nodes
        if op.job.backend == "torch":  # small models, on processors where there are no devices
            gpus = devices if devices * nodes > 1 else 0
            return Resources(task_class="train", cpus=2 * devices, memory_mb=4096 * devices, gpus=gpus, nodes=nodes)
        cpus, memory_mb = 8 * devices, 64_000 * devices  # of a node with eight devices: 64 and 512 GB
        return Resources(task_class="train", cpus=cpus, memory_mb=memory_mb, gpus=devices, nodes=nodes)
    if isinstance(op, ir.Benchmark):
        return Resources(task_class="eval", cpus=8, memory_mb=65_536, gpus=1)
    if isinstance(op, ir.BitsPerByte | ir.NGram):
        return Resources(task_class="eval", cpus=2, memory_mb=4096)
    if isinstance(op, ir.FetchPackages):
        return Resources(task_class="fetch", cpus=1, memory_mb=1024)
    if isinstance(op, ir.ScoreWeb):
        return Resources(task_class="data", cpus=1, memory_mb=2048 + op.model_mb)
    if isinstance(op, ir.TrainWeb):
        return Resources(task_class="group", cpus=2, memory_mb=4096 + op.model_mb)
    if isinstance(op, ir.Sign | ir.Refine | ir.Encode | ir.MakePairs | CLEANING | CRAWL):
        return Resources(task_class="data", cpus=1, memory_mb=2048)
    return Resources(task_class="group", cpus=2, memory_mb=4096)


def is_training(task: Task) -> bool:
    """Whether a task trains."""
    return isinstance(task.op, ir.TrainOp)
