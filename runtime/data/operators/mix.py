"""Drawing: which sequences a stage trains on, in what order, to the last one."""

from __future__ import annotations

import json

import numpy as np

from compiler import ir
from compiler.errors import UserError
from runtime.data.draw import Order, Phase, Samples, Supply
from runtime.data.draw import draw as draw_sequences
from runtime.data.draw import draw_samples as draw_pairs
from runtime.data.indexed import IndexedReader
from runtime.data.operators.tokens import PREFIX
from runtime.task import TaskContext


def draw(op: ir.Draw, ctx: TaskContext) -> None:
    """Exact integer budgets per data set; the order is a pure function of the seed."""
    readers = [IndexedReader(artifact.path / "tokens" / PREFIX) for artifact in ctx.inputs["tokens"]]
    supplies = [
        Supply(share.dataset, len(reader.tokens), share.share, share.max_epochs)
        for share, reader in zip(op.shares, readers, strict=True)
    ]
    phases = [Phase(phase.instances, phase.sequence_length) for phase in op.phases]
    order = draw_sequences(phases, supplies, op.seed)
    assert len(order) == sum(phase.instances for phase in phases), "the draw must meet the budget to the sequence"
    _write(ctx, [(supply.name, supply.num_tokens) for supply in supplies], phases, order)


def draw_samples(op: ir.DrawSamples, ctx: TaskContext) -> None:
    """Whole epochs of all samples, cut to the stage's steps."""
    readers = [IndexedReader(artifact.path / "tokens" / PREFIX) for artifact in ctx.inputs["tokens"]]
    samples = [Samples(name, len(reader)) for name, reader in zip(op.datasets, readers, strict=True)]
    order = draw_pairs(samples, op.epochs, op.global_batch, op.seed)
    wanted = op.steps * op.global_batch
    if len(order) < wanted:
        have = sum(sample.num_samples for sample in samples)
        raise UserError(
            f"stage {op.stage!r} wants {op.steps} steps of {op.global_batch} = {wanted} samples; there are {have} in"
            f" each of {op.epochs} epochs = {have * op.epochs}",
            fix=f"lower steps to {have * op.epochs // op.global_batch} or raise epochs",
        )
    phase = Phase(wanted, op.sequence_length)
    _write(ctx, [(sample.name, sample.num_samples) for sample in samples], [phase], order[:wanted])


def _write(ctx: TaskContext, datasets: list[tuple[str, int]], phases: list[Phase], order: Order) -> None:
    """blend.json and one order file per phase."""
    directory = ctx.output("blend")
    described, start = [], 0
    for number, phase in enumerate(phases):
        name = f"order-{number}.npy"
        np.save(directory / name, order[start : start + phase.instances])
        described.append({"sequence_length": phase.sequence_length, "instances": phase.instances, "order": name})
        start += phase.instances
    drawn = np.bincount(order[:, 0], minlength=len(datasets)).tolist()
    blend = {
        "format_version": 1,
        "datasets": [
            {"name": name, "available": available, "drawn": count}
            for (name, available), count in zip(datasets, drawn, strict=True)
        ],
        "phases": described,
    }
    (directory / "blend.json").write_text(json.dumps(blend, indent=1, sort_keys=True) + "\n")
    ctx.stats["drawn"] = {name: count for (name, _), count in zip(datasets, drawn, strict=True)}
