"""fetch_packages: pinned wheels, downloaded and unpacked into documents."""

from __future__ import annotations

from compiler import ir
from runtime.data import fetch
from runtime.task import TaskContext


def fetch_packages(op: ir.FetchPackages, ctx: TaskContext) -> None:
    """The packages of this shard as documents."""
    packages = [(package.name, package.version, package.sha256) for package in op.packages]
    fetch.fetch_packages(
        packages, out=ctx.out, cache=ctx.cache / "packages", source=op.source, shard=ctx.shard, shards=ctx.shards
    )
