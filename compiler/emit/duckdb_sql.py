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
    """Edges from the least item of every bucket to its other members, for one part of one band.

    View `band` has the columns item, sha256 and value; the worker makes it over each column of band keys in turn.
    Beside the exact hash, which is band 0, near bands look only at one item per exact hash: twins share all bands.
    """
    queries = {}
    if op.exact:
        queries["exact"] = _bucket("sha256", "item, sha256")
    if op.key is not None:
        near = ("min(item) AS item, value", "value, sha256") if op.exact else ("item, value",)
        queries["near"] = _bucket("value", *near)
    return queries


def _bucket(value: str, columns: str, group: str = "") -> str:
    return f"""\
WITH candidate AS (
  SELECT {columns} FROM band
  WHERE {value} IS NOT NULL AND hash({value}) % getvariable('parts') = getvariable('part')
  {f"GROUP BY {group}" if group else ""}
), bucket AS (
  SELECT {value}, min(item) AS first FROM candidate GROUP BY {value} HAVING count(*) > 1
)
SELECT first, item AS second, getvariable('band')::INTEGER AS band
FROM candidate JOIN bucket USING ({value})
WHERE item <> first
ORDER BY first, second"""


_SURVIVOR = "position, language, held_out, sha256"


def drop_twins(op: ir.DropTwins) -> dict[str, str]:
    """Training documents in a bucket with a held-out document of any data set (view `held_keys`)."""
    found = """\
  SELECT position, doc_id, 0 AS band, held.kept
  FROM keys JOIN (
    SELECT sha256, min(doc_id) AS kept FROM held_keys WHERE held_out GROUP BY sha256
  ) AS held USING (sha256)
  WHERE NOT held_out"""
    if op.key is not None:
        found += f"""
  UNION ALL
  SELECT position, keys.doc_id, band, held.kept
  FROM ({_unnested("keys", "NOT held_out", op)}) AS keys JOIN (
    SELECT band, value, min(doc_id) AS kept FROM ({_unnested("held_keys", "held_out", op)})
    WHERE value IS NOT NULL GROUP BY band, value
  ) AS held USING (band, value)"""
    return {
        "twins": f"""\
CREATE TEMP TABLE twin AS
SELECT position, min(doc_id) AS doc_id, min(band) AS band, arg_min(kept, (band, kept)) AS kept
FROM (
{found}
)
GROUP BY position""",
        "kept": f"SELECT {_SURVIVOR} FROM keys ANTI JOIN twin USING (position) ORDER BY position",
        "dropped": f"""\
SELECT doc_id, {literal(op.step)} AS step,
  CASE WHEN band = 0 THEN 'held_out_exact' ELSE 'held_out_near' END AS rule,
  NULL::DOUBLE AS value, {_number(op.threshold)} AS threshold, kept
FROM twin ORDER BY doc_id""",
    }


def _unnested(table: str, where: str, op: ir.DropTwins) -> str:
    """A row for every band of some documents, bands counted from 1."""
    assert op.key is not None
    values = ", ".join(near_column(op.key, band) for band in range(op.bands))
    return f"""
    SELECT position, doc_id, unnest(range(1, {op.bands + 1}))::INTEGER AS band, unnest([{values}]) AS value
    FROM {table} WHERE {where}
  """


CHUNK_BITS = 15
"""Bits of an item that number the chunks of a document; the document's position stands above them."""

CHUNKS = f"(SELECT *, (position << {CHUNK_BITS}) | chunk AS item FROM chunks)"
"""Chunks as items that clusters are made of; with 48 bits of position an item is a positive BIGINT."""

CHUNKS_LEFT = f"(SELECT * FROM {CHUNKS} SEMI JOIN kept USING (position))"
"""Those of the documents that the step before kept."""


def near_column(key: int, band: int) -> str:
    """The column of keys that holds one band of one MinHash key, both counted from 0.

    >>> near_column(0, 3)
    'near_0_3'
    """
    return f"near_{key}_{band}"


_MEMBER = """\
CREATE TEMP TABLE member AS
WITH twin AS (
  SELECT second AS item, first FROM edges WHERE band = 0
), touched AS (
  SELECT item, coalesce(twin.first, item) AS stands_for
  FROM (SELECT second AS item FROM edges UNION SELECT first FROM edges) LEFT JOIN twin USING (item)
)
SELECT touched.item, coalesce(component.cluster, stands_for) AS cluster
FROM touched LEFT JOIN component ON component.item = stands_for"""

_BY_FILE = """\
SELECT position AS item, doc_id AS name, sha256, held_out, stars, commit_time
  FROM keys SEMI JOIN member ON keys.position = member.item"""

_BY_CHUNK = f"""\
SELECT c.item, k.doc_id || '#' || c.chunk AS name, k.doc_id, c.sha256, k.held_out, k.stars, k.commit_time
  FROM (SELECT * FROM {CHUNKS} SEMI JOIN member USING (item)) c JOIN keys k USING (position)"""

_BY_REPOSITORY = """\
SELECT r.item, r.repo AS name, any_value(r.sha256) AS sha256, bool_or(k.held_out) AS held_out, max(k.stars) AS stars,
    max(k.commit_time) AS commit_time
  FROM keys k SEMI JOIN kept ON k.position = kept.position
    JOIN (SELECT * FROM repositories SEMI JOIN member USING (item)) r ON r.repo = k.repo
  GROUP BY r.item, r.repo"""


def cluster(op: ir.Cluster) -> dict[str, str]:
    """One survivor per cluster: most stars, then latest commit, then lowest id; a held-out item before any other.

    `edges` and `component` speak of the items of clusters; an item that no edge touches stands alone and is kept.
    Exact twins (band 0) belong to the component of the item that stands for them. A chunk is called DOCUMENT#NUMBER.
    """
    items = {"file": _BY_FILE, "repository": _BY_REPOSITORY, "chunk": _BY_CHUNK}
    losers = {"file": _LOST_FILES, "repository": _LOST_REPOSITORIES, "chunk": _LOST_CHUNKS}
    lowest = "doc_id, item" if op.granularity == "chunk" else "name"
    ranked = f"""\
CREATE TEMP TABLE ranked AS
WITH item AS (
  {items[op.granularity]}
)
SELECT item, name, row_number() OVER best AS rank, first_value(name) OVER best AS kept,
  sha256 = first_value(sha256) OVER best AS same
FROM item JOIN member USING (item)
WINDOW best AS (PARTITION BY cluster ORDER BY held_out DESC, stars DESC, commit_time DESC, {lowest})"""
    return {
        "pairs": "SELECT DISTINCT first, second FROM edges WHERE band > 0",
        "member": _MEMBER,
        "ranked": ranked,
        "loser": losers[op.granularity],
        "kept": _KEPT_PARTS if op.granularity == "chunk" else _KEPT,
        "dropped": f"""\
SELECT doc_id, {literal(op.step)} AS step,
  CASE WHEN same THEN 'exact_duplicate' ELSE 'near_duplicate' END AS rule,
  NULL::DOUBLE AS value, {_number(op.threshold)} AS threshold, kept
FROM loser ORDER BY doc_id""",
    }


_LOST_FILES = """\
CREATE TEMP TABLE loser AS
SELECT item AS position, name AS doc_id, same, kept FROM ranked WHERE rank > 1"""

_LOST_REPOSITORIES = """\
CREATE TEMP TABLE loser AS
SELECT k.position, k.doc_id, same, ranked.kept
FROM keys k SEMI JOIN kept ON k.position = kept.position JOIN ranked ON k.repo = ranked.name
WHERE ranked.rank > 1"""

_LOST_CHUNKS = f"""\
CREATE TEMP TABLE loser AS
SELECT item >> {CHUNK_BITS} AS position, item & {(1 << CHUNK_BITS) - 1} AS chunk, name AS doc_id, same, kept
FROM ranked WHERE rank > 1"""

_KEPT = f"SELECT {_SURVIVOR} FROM kept ANTI JOIN loser USING (position) ORDER BY position"

_KEPT_PARTS = """\
WITH touched AS (
  SELECT * FROM chunks SEMI JOIN loser USING (position)
), shortened AS (
  SELECT position, flatten(list([start, stop] ORDER BY chunk)) AS parts
  FROM touched ANTI JOIN loser USING (position, chunk)
  GROUP BY position
)
SELECT position, language, held_out, sha256, parts
FROM kept LEFT JOIN shortened USING (position)
WHERE parts IS NOT NULL OR position NOT IN (SELECT position FROM loser)
ORDER BY position"""


def merge_signatures(op: ir.MergeSignatures) -> dict[str, str]:
    """Exact hash of a repository: over the sorted hashes of its surviving files; and the parts of its signature."""
    repositories = """\
SELECT repo, min(position) AS item, unhex(sha256(string_agg(hex(sha256), '' ORDER BY hex(sha256)))) AS sha256
FROM keys SEMI JOIN kept USING (position)
GROUP BY repo ORDER BY repo"""
    if op.index is None:
        return {"repositories": repositories}
    return {
        "repositories": repositories,
        "signatures": f"SELECT repo, signature FROM signatures WHERE key = {op.index} ORDER BY repo",
    }


def downsample(op: ir.Downsample) -> dict[str, str]:
    """Documents in a seeded order until a language's cap of bytes is reached; held-out ones do not count."""
    caps = ", ".join(f"({literal(language)}, {cap})" for language, cap in op.caps)
    sized = f"""\
CREATE TEMP TABLE sized AS
SELECT d.doc_id, d.position, d.held_out, cap.bytes AS cap,
  sum(CASE WHEN d.held_out THEN 0 ELSE d.bytes END) OVER (
    PARTITION BY d.language ORDER BY {seeded_order(op.seed, "d.doc_id")}) AS running
FROM (SELECT doc_id, position, language, held_out, bytes FROM documents SEMI JOIN selection USING (position)) d
LEFT JOIN (VALUES {caps}) AS cap(language, bytes) USING (language)"""
    keep = "held_out OR cap IS NULL OR running <= cap"
    return {
        "sized": sized,
        "selection": f"SELECT position FROM sized WHERE {keep} ORDER BY position",
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
SELECT doc_id, position, {hit} AS hit
FROM (SELECT doc_id, position, lower(content) AS text FROM documents SEMI JOIN selection USING (position))""",
        "selection": "SELECT position FROM matched WHERE hit ORDER BY position",
        "dropped": f"""\
SELECT doc_id, {literal(op.step)} AS step, 'no_keyword' AS rule, NULL::DOUBLE AS value,
  NULL::DOUBLE AS threshold, NULL::VARCHAR AS kept
FROM matched WHERE NOT hit ORDER BY doc_id""",
    }


def train_web(op: ir.TrainWeb) -> dict[str, str]:
    """Examples in a seeded order, at most `pages` positives; and the held-out part of the seed."""
    order = seeded_order(op.seed, "key")
    examples = f"""\
WITH positive AS (
  SELECT key, words FROM seed WHERE code AND NOT held_out
  UNION ALL
  SELECT url AS key, words FROM joined ANTI JOIN (SELECT url FROM seed WHERE held_out OR NOT code) USING (url)
), negative AS (
  SELECT key, words FROM seed WHERE NOT code AND NOT held_out
  UNION ALL
  SELECT url AS key, words FROM negatives ANTI JOIN joined USING (url)
), example AS (
  SELECT 'code' AS label, key, words FROM (FROM positive ORDER BY {order}, words LIMIT {op.pages})
  UNION ALL
  SELECT 'other', key, words FROM negative
)
SELECT label, words FROM example ORDER BY {order}, label, words"""
    return {
        "examples": examples,
        "held_out": "SELECT code, words FROM seed WHERE held_out ORDER BY key",
    }


def score_web(op: ir.ScoreWeb) -> dict[str, str]:
    """Pages of a batch (view `page`) that match a URL pattern and are not recalled."""
    matches = " OR ".join(f"url LIKE {_pattern(pattern)} ESCAPE '\\'" for pattern in op.url_patterns) or "false"
    return {
        "candidates": f"""\
SELECT position, url, domain, words FROM page
WHERE score < {op.threshold!r} AND ({matches})
ORDER BY position"""
    }


def _pattern(pattern: str) -> str:
    r"""A URL pattern for LIKE: `%` is anything, all else is itself.

    >>> print(_pattern("%a_b.org/q%"))
    '%a\_b.org/q%'
    """
    return literal(pattern.replace("\\", "\\\\").replace("_", "\\_"))


def expand_web(op: ir.ExpandWeb) -> dict[str, str]:
    """Domains above the share of recalled pages, candidates in them that are new, and the round in one row."""
    share = op.domain_share
    return {
        "domain": f"""\
CREATE TEMP TABLE domain AS
SELECT domain, pages, recalled, recalled / pages AS share,
  recalled * {share.denominator} > pages * {share.numerator} AND domain <> '' AS code_related
FROM (
  SELECT domain, count(*) AS pages, count(*) FILTER (score >= {op.threshold!r}) AS recalled FROM scores GROUP BY domain
)""",
        "domains": _DOMAINS.format("domain"),
        "new": """\
CREATE TEMP TABLE new AS
SELECT position, url, domain, words
FROM candidates SEMI JOIN (FROM domain WHERE code_related) USING (domain) ANTI JOIN joined USING (url)
QUALIFY row_number() OVER (PARTITION BY url ORDER BY position) = 1""",
        "joined": "SELECT position, url, domain, words FROM new ORDER BY position",
        "rounds": f"""\
SELECT {op.iteration} AS iteration, positives, negatives, (SELECT sum(pages) FROM domain) AS pages,
  (SELECT sum(recalled) FROM domain) AS recalled, (SELECT count(*) FROM domain WHERE code_related) AS domains,
  (SELECT count(*) FROM new) AS joined, held_code, held_other,
  CASE WHEN held_other > 0 AND true_positives + false_positives > 0
    THEN true_positives / (true_positives + false_positives) END AS precision,
  CASE WHEN held_code > 0 THEN true_positives / held_code END AS recall
FROM quality""",
    }


_DOMAINS = """\
SELECT domain, pages, recalled, share, code_related FROM {}
ORDER BY code_related DESC, recalled DESC, pages DESC, domain"""


def settle_web(op: ir.SettleWeb) -> dict[str, str]:
    """A page stays if it is recalled, a seed, or has joined the seed; of several with one URL the first does."""
    verdicts = f"""\
WITH known AS (
  SELECT url, bool_or(code) AS code FROM seed WHERE url <> '' GROUP BY url
), page AS (
  SELECT position, scores.url, score, min(position) OVER (PARTITION BY scores.url) AS first, known.code AS seed,
    joined.url IS NOT NULL AS joined
  FROM scores LEFT JOIN known USING (url) LEFT JOIN (SELECT DISTINCT url FROM joined) AS joined USING (url)
), judged AS (
  SELECT position, url, score,
    CASE WHEN first <> position THEN 'duplicate_url'
      WHEN seed = false THEN 'seed_of_other'
      WHEN seed IS NULL AND NOT joined AND score < {op.threshold!r} THEN 'below_threshold' END AS rule,
    CASE WHEN seed THEN 'seed' WHEN score >= {op.threshold!r} THEN 'recalled' ELSE 'url_pattern' END AS way
  FROM page
)
SELECT position, score, CASE WHEN rule IS NULL THEN way END AS kept_as, rule,
  CASE WHEN rule = 'duplicate_url' THEN {literal(f"{op.source}/")} || url END AS kept
FROM judged ORDER BY position"""
    return {
        "verdicts": verdicts,
        "domains": _DOMAINS.format("last_domains"),
        "rounds": "FROM every_round ORDER BY iteration",
    }


def train_bpe(op: ir.TrainBPE) -> dict[str, str]:
    """A sample of one data set, in a seeded order, up to a number of bytes."""
    return {
        "sample": f"""\
SELECT content FROM documents SEMI JOIN (
  SELECT position, sum(bytes) OVER (ORDER BY {seeded_order(op.seed)}) - bytes AS before
  FROM documents SEMI JOIN selection USING (position)
  WHERE NOT held_out
  QUALIFY before < getvariable('sample_bytes')
) USING (position)
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


def held_out_text(op: ir.HeldOutText) -> dict[str, str]:
    """Held-out documents, of each language all or a seeded sample up to a number of bytes."""
    limit = f"WHERE before < {op.max_bytes}\n" if op.max_bytes else ""
    return {
        "held_out": f"""\
SELECT doc_id, language, content FROM (
  SELECT doc_id, language, content,
    sum(bytes) OVER (PARTITION BY language ORDER BY {seeded_order(op.seed)}) - bytes AS before
  FROM documents
  WHERE held_out
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
    ir.TrainWeb: train_web,
    ir.ScoreWeb: score_web,
    ir.ExpandWeb: expand_web,
    ir.SettleWeb: settle_web,
    ir.TrainBPE: train_bpe,
    ir.Pack: pack,
    ir.HeldOutText: held_out_text,
    ir.EncodePairs: encode_pairs,
    ir.BitsPerByte: held_out,
    ir.NGram: held_out,
}


def queries(op: ir.Operator) -> dict[str, str]:
    """The queries of an operator by name; none for those that run no SQL."""
    emit = QUERIES.get(type(op))
    return emit(op) if emit else {}
