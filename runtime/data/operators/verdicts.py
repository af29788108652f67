"""The group step: band keys -> edges -> clusters -> who is kept. Works on keys, never on content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from compiler import ir
from compiler.errors import UserError
from runtime.data import duck
from runtime.data.funnel import table_stats
from runtime.data.tables import DROPPED_SCHEMA, TableWriter, schema_of
from runtime.task import TaskContext

EDGE_SCHEMA = schema_of({"first": pa.string(), "second": pa.string(), "band": pa.int32()})
KEPT_SCHEMA = schema_of({"doc_id": pa.string(), "repo": pa.string(), "language": pa.string(), "held_out": pa.bool_()})
REPOSITORY_SCHEMA = schema_of({"repo": pa.string(), "sha256": pa.binary(), "near": pa.list_(pa.uint64())})


def kept_files(ctx: TaskContext) -> list[Path]:
    """What is left after the step before: its kept rows, or all admitted ones where sign is that step."""
    artifact = ctx.input("kept")
    return artifact.files("kept") or artifact.files("keys")


def drop_twins(op: ir.DropTwins, ctx: TaskContext) -> None:
    """Drop training documents that share a bucket with a held-out one of any data set."""
    keys = ctx.files("keys", "keys")
    with duck.session(ctx, keys=keys) as connection:
        refuse_double_ids(connection)
        # Data sets have other band keys beside the one that all share for this.
        everywhere = [str(path) for path in (*keys, *ctx.files("held", "keys"))]
        connection.read_parquet(everywhere, union_by_name=True).create_view("held_keys")
        connection.execute(ctx.sql["twins"])
        _write_verdict(connection, ctx)


def edges(op: ir.Edges, ctx: TaskContext) -> None:
    """Pairs of this shard's bands."""
    with duck.session(ctx, keys=ctx.files("keys", "keys"), kept=kept_files(ctx)) as connection:
        if op.granularity == "file":
            refuse_double_ids(connection)
        ctx.stats["edges"] = duck.write(connection, ctx.sql["edges"], ctx.output("edges"), EDGE_SCHEMA)


def cluster(op: ir.Cluster, ctx: TaskContext) -> None:
    """Components over the edges, then the verdict."""
    views: dict[str, Sequence[Path]] = {"keys": ctx.files("keys", "keys"), "kept": kept_files(ctx)}
    if op.granularity == "repository":
        views["repositories"] = ctx.files("repositories", "keys")
    with duck.session(ctx, **views) as connection:
        component = _components(ctx.files("edges", "edges"))
        connection.register("component", component)
        connection.execute(ctx.sql["ranked"])
        _write_verdict(connection, ctx)
        ctx.stats["clusters"] = len(set(component.column("cluster").to_pylist()))


def merge_signatures(op: ir.MergeSignatures, ctx: TaskContext) -> None:
    """One key row per repository: its exact hash, and the band keys of the union of its files."""
    with duck.session(ctx, keys=ctx.files("keys", "keys"), kept=kept_files(ctx)) as connection:
        repositories = connection.sql(ctx.sql["repositories"]).to_arrow_table()
    bands = _repository_bands(op, ctx) if op.key else {}
    near = [bands.get(repo) for repo in repositories.column("repo").to_pylist()]
    table = repositories.append_column("near", pa.array(near, pa.list_(pa.uint64())))
    with TableWriter(ctx.output("keys"), REPOSITORY_SCHEMA) as writer:
        writer.write(table)
    ctx.stats["repositories"] = table.num_rows


def _repository_bands(op: ir.MergeSignatures, ctx: TaskContext) -> dict[str, list[int]]:
    """Band keys per repository: minima over what the shards of sign found."""
    from runtime.data.lsh import (
        band_keys,  # loads numba, half a second that the other group tasks need not wait
    )

    assert op.key is not None
    merged: dict[str, np.ndarray[tuple[int], np.dtype[np.uint32]]] = {}
    for path in ctx.files("keys", "signatures"):
        for row in pq.read_table(path).to_pylist():
            if row["key"] == op.index:
                part = np.array(row["signature"], dtype=np.uint32)
                known = merged.get(row["repo"])
                merged[row["repo"]] = part if known is None else np.minimum(known, part)
    if not merged:
        return {}
    keys = band_keys(np.stack(list(merged.values())), op.key.bands, op.key.rows)
    return dict(zip(merged, keys.tolist(), strict=True))


def _components(files: Sequence[Path]) -> pa.Table:
    """item, cluster for every item of an edge; a cluster is called by its least item."""
    from runtime.data.components import connected_components  # loads SciPy

    table = pa.concat_tables([pq.read_table(path, columns=["first", "second"]) for path in files])
    ends = pa.chunked_array(table.column("first").chunks + table.column("second").chunks, pa.string())
    items = np.array(sorted(map(str, set(ends.to_pylist()))), dtype=object)
    index = {item: i for i, item in enumerate(items)}
    left, right = (
        np.array([index[item] for item in table.column(c).to_pylist()], dtype=np.int64) for c in ("first", "second")
    )
    labels = connected_components(len(items), left, right)
    clusters = [items[label] for label in labels]
    return pa.table({"item": pa.array(items, pa.string()), "cluster": pa.array(clusters, pa.string())})


def _write_verdict(connection: duckdb.DuckDBPyConnection, ctx: TaskContext) -> None:
    kept = duck.write(connection, ctx.sql["kept"], ctx.output("kept"), KEPT_SCHEMA)
    duck.write(connection, ctx.sql["dropped"], ctx.output("dropped"), DROPPED_SCHEMA)
    ctx.stats.update(table_stats(kept, ctx.output("dropped")))


def refuse_double_ids(connection: duckdb.DuckDBPyConnection) -> None:
    """Two documents of one id cannot be told apart: name some and stop."""
    double = connection.execute(
        "SELECT doc_id, count(*) FROM keys GROUP BY doc_id HAVING count(*) > 1 ORDER BY doc_id LIMIT 3"
    ).fetchall()
    if double:
        listed = ", ".join(f"{doc_id!r} {count} times" for doc_id, count in double)
        raise UserError(
            f"document ids are not unique: {listed}",
            fix="map doc_id to a unique column, or leave it out so that source, repo and path make the id",
        )
