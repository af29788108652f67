"""The DuckDB queries of the data operators.

Each function gives the queries of one operator by name. A query reads views that the worker makes over the task's
inputs (`keys`, `kept`, `documents`, ...) and the variables `shard` and `shards`. No paths, no settings.
Random choices go by md5 of a seed and the document id: the same on any machine and any DuckDB version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compiler import ir


def literal(text: str) -> str:
    """A SQL string literal.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def seeded_order(seed: int, column: str = "doc_id") -> str:
    """A pseudo-random but reproducible ordering key, ties broken by the id itself."""
    return f"md5({literal(f'{seed}/')} || {column}), {column}"


def edges(op: ir.Edges) -> dict[str, str]:
    """Edges from the least item of every bucket to its other members.

    Band 0 is the exact hash; beside it near bands look only at one item per exact hash, since twins share all bands.
    """
    item, bands = ("doc_id", f"near_{op.key}") if op.granularity == "file" else ("repo", "near")
    tables = [
        f"""\
candidate AS (
  SELECT {item} AS item, sha256{"" if op.key is None else f", {bands} AS bands"} FROM keys SEMI JOIN kept USING ({item})
)"""
    ]
    parts = []
    if op.exact:
        parts.append(_bucket("sha256", "0", "candidate"))
    if op.key is not None:
        once = " QUALIFY row_number() OVER (PARTITION BY sha256 ORDER BY item) = 1" if op.exact else ""
        tables.append(f"""\
signed AS (
  SELECT item, bands FROM candidate{once}
), banded AS (
  SELECT item, unnest(bands) AS value, unnest(range(1, len(bands) + 1))::INTEGER AS band
  FROM signed WHERE bands IS NOT NULL
)""")
        parts.append(_bucket("band, value", "band", "banded"))
    union = "\nUNION ALL\n".join(parts)
    return {"edges": f"WITH {', '.join(tables)}\n{union}\nORDER BY band, first, second"}


def _bucket(value: str, band: str, table: str) -> str:
    return f"""\
SELECT min(item) OVER (PARTITION BY {value}) AS first, item AS second, {band} AS band
FROM {table}
WHERE {band} % getvariable('shards') = getvariable('shard')
QUALIFY first <> second"""


def drop_twins(op: ir.DropTwins) -> dict[str, str]:
    """Training documents in a bucket with a held-out document of any data set (view `held_keys`)."""
    twins = f"""\
CREATE TEMP TABLE twin AS
WITH bucket AS (
{_buckets("keys", "NOT held_out", op.key)}
), held AS (
  SELECT band, value, min(doc_id) AS kept FROM (
{_buckets("held_keys", "held_out", op.key)}
  ) GROUP BY band, value
)
SELECT bucket.doc_id, min(band) AS band, arg_min(held.kept, (band, held.kept)) AS kept
FROM bucket JOIN held USING (band, value)
GROUP BY bucket.doc_id"""
    return {
        "twins": twins,
        "kept": "SELECT doc_id, repo, language, held_out FROM keys ANTI JOIN twin USING (doc_id) ORDER BY doc_id",
        "dropped": f"""\
SELECT doc_id, {literal(op.step)} AS step,
  CASE WHEN band = 0 THEN 'held_out_exact' ELSE 'held_out_near' END AS rule,
  NULL::DOUBLE AS value, {_number(op.threshold)} AS threshold, kept
FROM twin ORDER BY doc_id""",
    }


def _buckets(table: str, where: str, key: int | None) -> str:
    """Every exact hash (band 0) and band key of some documents."""
    near = (
        ""
        if key is None
        else f"""
  UNION ALL
  SELECT doc_id, unnest(range(1, len(near_{key}) + 1))::INTEGER AS band, unnest(near_{key})::VARCHAR AS value
  FROM {table} WHERE {where} AND near_{key} IS NOT NULL"""
    )
    return f"  SELECT doc_id, 0 AS band, hex(sha256) AS value FROM {table} WHERE {where}{near}"


def cluster(op: ir.Cluster) -> dict[str, str]:
    """One survivor per cluster: most stars, then latest commit, then lowest id; a held-out item before any other."""
    if op.granularity == "file":
        item = """\
SELECT k.doc_id AS item, k.sha256, kept.held_out, k.stars, k.commit_time
  FROM keys k JOIN kept USING (doc_id)"""
        back = "doc_id"
    else:
        item = """\
SELECT k.repo AS item, min(r.sha256) AS sha256, bool_or(kept.held_out) AS held_out, max(k.stars) AS stars,
    max(k.commit_time) AS commit_time
  FROM keys k JOIN kept USING (doc_id) JOIN repositories r ON r.repo = k.repo GROUP BY k.repo"""
        back = "repo"
    ranked = f"""\
CREATE TEMP TABLE ranked AS
WITH item AS (
  {item}
), clustered AS (
  SELECT item.*, coalesce(component.cluster, item.item) AS cluster
  FROM item LEFT JOIN component USING (item)
)
SELECT item, row_number() OVER best AS rank, first_value(item) OVER best AS kept,
  sha256 = first_value(sha256) OVER best AS same
FROM clustered
WINDOW best AS (PARTITION BY cluster ORDER BY held_out DESC, stars DESC, commit_time DESC, item)"""
    return {
        "ranked": ranked,
        "kept": f"""\
SELECT doc_id, repo, language, held_out
FROM kept SEMI JOIN (SELECT item AS {back} FROM ranked WHERE rank = 1) USING ({back})
ORDER BY doc_id""",
        "dropped": f"""\
SELECT kept.doc_id, {literal(op.step)} AS step,
  CASE WHEN same THEN 'exact_duplicate' ELSE 'near_duplicate' END AS rule,
  NULL::DOUBLE AS value, {_number(op.threshold)} AS threshold, ranked.kept AS kept
FROM kept JOIN ranked ON kept.{back} = ranked.item
WHERE ranked.rank > 1
ORDER BY kept.doc_id""",
    }


def merge_signatures(op: ir.MergeSignatures) -> dict[str, str]:
    """Exact hash of a repository: over the sorted hashes of its surviving files."""
    return {
        "repositories": """\
SELECT repo, unhex(sha256(string_agg(hex(sha256), '' ORDER BY hex(sha256)))) AS sha256
FROM keys SEMI JOIN kept USING (doc_id)
GROUP BY repo ORDER BY repo"""
    }


def downsample(op: ir.Downsample) -> dict[str, str]:
    """Documents in a seeded order until a language's cap of bytes is reached; held-out ones do not count."""
    caps = ", ".join(f"({literal(language)}, {cap})" for language, cap in op.caps)
    sized = f"""\
CREATE TEMP TABLE sized AS
SELECT d.doc_id, d.held_out, cap.bytes AS cap,
  sum(CASE WHEN d.held_out THEN 0 ELSE d.bytes END) OVER (
    PARTITION BY d.language ORDER BY {seeded_order(op.seed, "d.doc_id")}) AS running
FROM (SELECT doc_id, language, held_out, bytes FROM documents SEMI JOIN selection USING (doc_id)) d
LEFT JOIN (VALUES {caps}) AS cap(language, bytes) USING (language)"""
    keep = "held_out OR cap IS NULL OR running <= cap"
    return {
        "sized": sized,
        "selection": f"SELECT doc_id FROM sized WHERE {keep} ORDER BY doc_id",
        "dropped": f"""\
SELECT doc_id, {literal(op.step)} AS step, 'language_cap' AS rule, running::DOUBLE AS value,
  cap::DOUBLE AS threshold, NULL::VARCHAR AS kept
FROM sized WHERE NOT ({keep}) ORDER BY doc_id""",
    }


def select(op: ir.Select) -> dict[str, str]:
    """Documents whose text holds a keyword, in any case."""
    hit = " OR ".join(f"contains(text, lower({literal(keyword)}))" for keyword in op.keywords)
    return {
        "matched": f"""\
CREATE TEMP TABLE matched AS
SELECT doc_id, {hit} AS hit
FROM (SELECT doc_id, lower(content) AS text FROM documents SEMI JOIN selection USING (doc_id))""",
        "selection": "SELECT doc_id FROM matched WHERE hit ORDER BY doc_id",
        "dropped": f"""\
SELECT doc_id, {literal(op.step)} AS step, 'no_keyword' AS rule, NULL::DOUBLE AS value,
  NULL::DOUBLE AS threshold, NULL::VARCHAR AS kept
FROM matched WHERE NOT hit ORDER BY doc_id""",
    }


def train_bpe(op: ir.TrainBPE) -> dict[str, str]:
    """A sample of one data set, in a seeded order, up to a number of bytes."""
    return {
        "sample": f"""\
SELECT content FROM (
  SELECT doc_id, content, sum(bytes) OVER (ORDER BY {seeded_order(op.seed)}) - bytes AS before
  FROM documents SEMI JOIN selection USING (doc_id)
  WHERE NOT held_out
)
WHERE before < getvariable('sample_bytes')
ORDER BY doc_id"""
    }


def pack(op: ir.Pack) -> dict[str, str]:
    """Rows in a seeded order."""
    return {"tokens": f"SELECT tokens FROM tokens ORDER BY {seeded_order(op.seed)}"}


def encode_pairs(op: ir.EncodePairs) -> dict[str, str]:
    """Pairs in a seeded order, one per distinct answer."""
    limit = f"\nLIMIT {op.max_samples}" if op.max_samples else ""
    return {
        "pairs": f"""\
SELECT instruction, output FROM (
  SELECT * FROM pairs QUALIFY row_number() OVER (PARTITION BY md5(output) ORDER BY pair_id) = 1
)
ORDER BY {seeded_order(op.seed, "pair_id")}{limit}"""
    }


def held_out(op: ir.BitsPerByte | ir.NGram) -> dict[str, str]:
    """Held-out documents, all or a seeded sample up to a number of bytes."""
    languages = ", ".join(map(literal, op.languages))
    where = f"held_out AND language IN ({languages})" if op.languages else "held_out"
    limit = f"WHERE before < {op.max_bytes}\n" if op.max_bytes else ""
    return {
        "held_out": f"""\
SELECT doc_id, repo, language, content FROM (
  SELECT doc_id, repo, language, content, sum(bytes) OVER (ORDER BY {seeded_order(op.seed)}) - bytes AS before
  FROM documents
  WHERE {where}
)
{limit}ORDER BY doc_id"""
    }


def _number(value: float | None) -> str:
    return "NULL::DOUBLE" if value is None else f"{value!r}::DOUBLE"


QUERIES: dict[type[ir.Operator], Callable[[Any], dict[str, str]]] = {
    ir.Edges: edges,
    ir.DropTwins: drop_twins,
    ir.Cluster: cluster,
    ir.MergeSignatures: merge_signatures,
    ir.Downsample: downsample,
    ir.Select: select,
    ir.TrainBPE: train_bpe,
    ir.Pack: pack,
    ir.EncodePairs: encode_pairs,
    ir.BitsPerByte: held_out,
    ir.NGram: held_out,
}


def queries(op: ir.Operator) -> dict[str, str]:
    """The queries of an operator by name; none for those that run no SQL."""
    emit = QUERIES.get(type(op))
    return emit(op) if emit else {}
