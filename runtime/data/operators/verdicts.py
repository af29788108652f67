"""The group step: band keys -> edges -> clusters -> who is kept. Works on keys, never on content.

DuckDB holds what it can within the task's memory and spills the rest. What lies outside of it are the distinct pairs of
near duplicates, about 60 bytes each, for the connected components.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from compiler import ir
from compiler.emit.duckdb_sql import CHUNKS_LEFT, near_column
from compiler.errors import UserError
from runtime.data import duck
from runtime.data.funnel import table_stats
from runtime.data.tables import DROPPED_SCHEMA, TableWriter, schema_of
from runtime.task import TaskContext

EDGE_SCHEMA = schema_of({"first": pa.int64(), "second": pa.int64(), "band": pa.int32()})
KEPT_SCHEMA = schema_of(
    {"position": pa.int64(), "language": pa.string(), "held_out": pa.bool_(), "sha256": pa.binary()}
)
"""A document that is left; by its SHA-256 refine sees that it reads what was judged."""

CHUNKS_KEPT_SCHEMA = schema_of({**{f.name: f.type for f in KEPT_SCHEMA}, "parts": pa.list_(pa.int64())})
"""`parts`: start and stop in bytes of each chunk that is left, one after the other; null: the whole document."""

ITEMS: dict[ir.Granularity, str] = {
    "file": "(SELECT *, position AS item FROM keys SEMI JOIN kept USING (position))",
    "repository": "keys",
    "chunk": CHUNKS_LEFT,
}
"""What is compared with what, by the views `keys`, `kept` and `chunks`."""

REPOSITORY_COLUMNS: dict[str, pa.DataType] = {"item": pa.int64(), "repo": pa.string(), "sha256": pa.binary()}


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
    """Pairs of this shard's bands, or of its parts of bands where there are more shards than bands."""
    bands = range(0 if op.exact else 1, op.bands + 1)
    parts = -(-ctx.shards // len(bands))
    mine = [(band, part) for part in range(parts) for band in bands][ctx.shard :: ctx.shards]
    key = 0 if op.granularity == "repository" else op.key or 0
    views = {"keys": ctx.files("keys", "keys"), "kept": kept_files(ctx)}
    if op.granularity == "chunk":
        views["chunks"] = ctx.files("keys", "chunks")
    with (
        duck.session(ctx, **views) as connection,
        TableWriter(ctx.output("edges"), EDGE_SCHEMA) as writer,
    ):
        if op.granularity != "repository" and ctx.shard == 0:
            refuse_double_ids(connection)
        for band, part in mine:
            duck.band_view(connection, ITEMS[op.granularity], near_column(key, band - 1) if band else None)
            for name, value in (("band", band), ("part", part), ("parts", parts)):
                connection.execute(f"SET VARIABLE {name} = {value}")
            for batch in duck.batches(connection, ctx.sql["near" if band else "exact"]):
                writer.write(batch)
            ctx.progress(writer.rows, 0, "edges")
    ctx.stats["edges"] = writer.rows


def cluster(op: ir.Cluster, ctx: TaskContext) -> None:
    """Components over the edges, then the verdict."""
    views: dict[str, Sequence[Path]] = {
        "keys": ctx.files("keys", "keys"),
        "kept": kept_files(ctx),
        "edges": ctx.files("edges", "edges"),
    }
    if op.granularity == "repository":
        views["repositories"] = ctx.files("repositories", "keys")
    if op.granularity == "chunk":
        views["chunks"] = ctx.files("keys", "chunks")
    with duck.session(ctx, **views) as connection:
        connection.register("component", _components(connection, ctx.sql["pairs"]))
        for name in ("member", "ranked", "loser"):
            connection.execute(ctx.sql[name])
        ctx.stats["clusters"] = duck.number(connection, "SELECT count(DISTINCT cluster) FROM member")
        if op.granularity == "chunk":
            _write_parts(connection, ctx)
        else:
            _write_verdict(connection, ctx)


def _components(connection: duckdb.DuckDBPyConnection, pairs: str) -> pa.Table:
    """item, cluster for every item of a pair; a cluster is called by its least item."""
    from runtime.data.components import connected_components  # loads SciPy

    found = connection.execute(pairs).fetchnumpy()
    items, ends = np.unique(np.concatenate([found["first"], found["second"]]), return_inverse=True)
    left, right = np.split(ends, 2)
    labels = connected_components(len(items), left, right) if len(items) else ends
    return pa.table({"item": items.astype(np.int64), "cluster": items[labels].astype(np.int64)})


def merge_signatures(op: ir.MergeSignatures, ctx: TaskContext) -> None:
    """One key row per repository: its exact hash, and the band keys of the union of its files."""
    bands = op.key.bands if op.key else 0
    schema = schema_of({**REPOSITORY_COLUMNS, **{near_column(0, band): pa.uint64() for band in range(bands)}})
    with (
        duck.session(ctx, keys=ctx.files("keys", "keys"), kept=kept_files(ctx)) as connection,
        TableWriter(ctx.output("keys"), schema) as writer,
    ):
        duck.view(connection, "signatures", ctx.files("keys", "signatures"))
        other = connection.cursor()  # both results are streams, by growing name of the repository
        signatures = _signatures(op, other, ctx.sql["signatures"]) if op.key else iter(())
        merged = next(signatures, None)
        for batch in duck.batches(connection, ctx.sql["repositories"]):
            rows = batch.to_pylist()
            for row in rows:
                while merged is not None and merged[0] < row["repo"]:
                    merged = next(signatures, None)
                if merged is not None and merged[0] == row["repo"]:
                    row |= {near_column(0, band): key for band, key in enumerate(merged[1])}
            writer.write_rows(rows)
    ctx.stats["repositories"] = writer.rows


def _signatures(
    op: ir.MergeSignatures, connection: duckdb.DuckDBPyConnection, query: str
) -> Iterator[tuple[str, list[int]]]:
    """Band keys per repository: minima over what the shards of sign found."""
    from runtime.data.lsh import band_keys  # loads numba, half a second that the other group tasks need not wait

    assert op.key is not None
    parts = ((row["repo"], row["signature"]) for batch in duck.batches(connection, query) for row in batch.to_pylist())
    for repo, found in groupby(parts, key=lambda part: part[0]):
        lowest = np.array([signature for _, signature in found], dtype=np.uint32).min(axis=0, keepdims=True)
        yield repo, band_keys(lowest, op.key.bands, op.key.rows)[0].tolist()


def _write_verdict(connection: duckdb.DuckDBPyConnection, ctx: TaskContext) -> None:
    kept = duck.write(connection, ctx.sql["kept"], ctx.output("kept"), KEPT_SCHEMA)
    duck.write(connection, ctx.sql["dropped"], ctx.output("dropped"), DROPPED_SCHEMA)
    ctx.stats.update(table_stats(kept, ctx.output("dropped")), languages=_languages(connection, ctx))


def _languages(connection: duckdb.DuckDBPyConnection, ctx: TaskContext) -> dict[str, int]:
    """Documents that the verdict keeps, by language; makes the view `written`."""
    duck.view(connection, "written", sorted(ctx.output("kept").glob("*.parquet")))
    return duck.languages(connection, "written")


def _write_parts(connection: duckdb.DuckDBPyConnection, ctx: TaskContext) -> None:
    """The verdict on chunks: documents with what is left of them. in, kept and dropped count chunks."""
    documents = duck.write(connection, ctx.sql["kept"], ctx.output("kept"), CHUNKS_KEPT_SCHEMA)
    duck.write(connection, ctx.sql["dropped"], ctx.output("dropped"), DROPPED_SCHEMA)
    compared = "SELECT count(*) FROM chunks SEMI JOIN kept USING (position)"
    left = duck.number(connection, f"{compared} ANTI JOIN loser USING (position, chunk)")
    ctx.stats.update(table_stats(left, ctx.output("dropped")))
    ctx.stats["in"] = duck.number(connection, compared)
    ctx.stats["languages"] = _languages(connection, ctx)
    ctx.stats["documents"] = {
        "in": duck.count(connection, "kept"),
        "kept": documents,
        "shortened": duck.number(connection, "SELECT count(*) FROM written WHERE parts IS NOT NULL"),
    }


def refuse_double_ids(connection: duckdb.DuckDBPyConnection) -> None:
    """Two documents of one id cannot be told apart: name some and stop. View `keys` has the ids.

    Hashes are grouped first, since they are a tenth of the ids' size.
    """
    double = connection.execute("""\
SELECT doc_id, count(*) FROM keys
WHERE hash(doc_id) IN (SELECT hash(doc_id) FROM keys GROUP BY hash(doc_id) HAVING count(*) > 1)
GROUP BY doc_id HAVING count(*) > 1 ORDER BY doc_id LIMIT 3""").fetchall()
    if double:
        listed = ", ".join(f"{doc_id!r} {count} times" for doc_id, count in double)
        raise UserError(
            f"document ids are not unique: {listed}",
            fix="map doc_id to a unique column, or leave it out so that source, repo and path make the id",
        )
