"""fetch_packages: pinned wheels, downloaded and unpacked into documents."""

from __future__ import annotations

from compiler import ir
from runtime.data import fetch
from runtime.data.funnel import table_stats
from runtime.task import TaskContext


def fetch_packages(op: ir.FetchPackages, ctx: TaskContext) -> None:
    """The packages of this shard as documents."""
    fetched = fetch.fetch_packages(
        op.packages,
        out=ctx.out,
        cache=ctx.cache / "packages",
        source=op.source,
        shard=ctx.shard,
        shards=ctx.shards,
    )
    ctx.stats.update(
        table_stats(fetched.documents, ctx.output("dropped")), packages=fetched.packages, bytes=fetched.bytes
    )
