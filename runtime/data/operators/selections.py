"""Selections among clean documents: ids only, by the plan's SQL."""

from __future__ import annotations

from compiler import ir
from runtime.data import duck
from runtime.data.funnel import table_stats
from runtime.data.refined import SELECTION_SCHEMA
from runtime.data.tables import DROPPED_SCHEMA
from runtime.task import TaskContext


def downsample(op: ir.Downsample, ctx: TaskContext) -> None:
    """Cap the bytes of languages."""
    _select(ctx, "sized")


def select(op: ir.Select, ctx: TaskContext) -> None:
    """Keep documents with a keyword."""
    _select(ctx, "matched")


def _select(ctx: TaskContext, prepare: str) -> None:
    with duck.session(ctx, documents=ctx.files("documents", "documents")) as connection:
        duck.selection_view(connection, ctx.files("selection", "selection"))
        connection.execute(ctx.sql[prepare])
        kept = duck.write(connection, ctx.sql["selection"], ctx.output("selection"), SELECTION_SCHEMA)
        duck.write(connection, ctx.sql["dropped"], ctx.output("dropped"), DROPPED_SCHEMA)
        duck.view(connection, "written", sorted(ctx.output("selection").glob("*.parquet")))
        left = duck.languages(connection, "(SELECT language FROM documents SEMI JOIN written USING (position))")
    ctx.stats.update(table_stats(kept, ctx.output("dropped")), languages=left)
