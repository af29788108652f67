"""The queries of the data operators, run on a real DuckDB: small tables in, exact rows out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import ir
from compiler.emit.duckdb_sql import QUERIES, literal, queries

CASES = "sql"
Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """One engine for the module; each test has a schema of its own in it."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        yield connection


@pytest.fixture
def duck(database: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The engine without any tables."""
    clear(database)
    return database


def clear(duck: duckdb.DuckDBPyConnection) -> None:
    for (name,) in duck.execute("SELECT table_name FROM duckdb_tables()").fetchall():
        duck.execute(f'DROP TABLE "{name}"')
    duck.execute("SET VARIABLE shard = 0")
    duck.execute("SET VARIABLE shards = 1")
    duck.execute("SET VARIABLE part = 0")
    duck.execute("SET VARIABLE parts = 1")


def create(duck: duckdb.DuckDBPyConnection, table: str, columns: str, rows: Rows) -> None:
    """A table of `name type, ...` with some rows; values are cast from what they are written as."""
    duck.execute(f"CREATE OR REPLACE TABLE {table} ({columns})")
    if rows:
        row = f"({', '.join('?' * len(rows[0]))})"
        values = [value for row in rows for value in row]
        duck.execute(f"INSERT INTO {table} VALUES {', '.join([row] * len(rows))}", values)


def run(duck: duckdb.DuckDBPyConnection, op: ir.Operator) -> dict[str, Rows]:
    """Run the queries of an operator in their order; the rows of those that give some."""
    results = {}
    for name, text in queries(op).items():
        relation = duck.execute(text)
        if not text.startswith("CREATE TEMP TABLE"):
            results[name] = relation.fetchall()
    return results


# ---------------------------------------------------------------- text fixtures


def test_queries(case, duck: duckdb.DuckDBPyConnection) -> None:
    """`operator`, then `table: columns` with rows of cells between bars; then the rows that each query gives."""
    head, *tables = re.split(r"\n(?=\w+: )", case.given.strip())
    for table in tables:
        name, _, body = table.partition(": ")
        columns, *lines = body.splitlines()
        create(duck, name, columns, [tuple(map(cell, line.split("|"))) for line in lines])
    if head.startswith("DropTwins(") and "\nheld_keys: " not in case.given:
        duck.execute("CREATE TABLE held_keys AS SELECT * FROM keys")
    setting = re.search(r" with (\w+) = (\d+)$", head)
    if setting:
        duck.execute(f"SET VARIABLE {setting[1]} = {setting[2]}")
        head = head[: setting.start()]
    operator = eval(head, {**vars(ir), "Fraction": Fraction})
    case.check("".join(f"{name}\n{table_text(rows)}" for name, rows in run(duck, operator).items()))


def cell(text: str) -> str | None:
    return None if text.strip() == "-" else text.strip()


def table_text(rows: Rows) -> str:
    return "".join(f"  {' | '.join(map(shown, row))}\n" for row in rows)


def shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return "-" if value is None else str(value)


def test_every_query_has_a_case(pytestconfig: pytest.Config) -> None:
    """An emitter without a fixture is not tested."""
    folder = pytestconfig.rootpath / "tests" / "fixtures" / "compiler" / "sql"
    text = "".join(file.read_text() for file in folder.glob("*.txt"))
    assert {cls.__name__ for cls in QUERIES} == set(re.findall(r"^(\w+)\(", text, flags=re.MULTILINE))


def test_operators_without_queries_have_none() -> None:
    """Content is not read by SQL where a kernel reads it."""
    assert queries(ir.Encode(dataset="code")) == {}


# ---------------------------------------------------------------- edges, whatever the parts

ITEMS = st.lists(
    st.tuples(st.integers(0, 3), st.none() | st.lists(st.integers(0, 2), min_size=3, max_size=3)),
    min_size=1,
    max_size=12,
)


def consistent(items: list[tuple[int, list[int] | None]]) -> Rows:
    """Rows in which equal hashes have equal bands, as signing makes them."""
    bands: dict[int, list[int] | None] = {}
    return [(number, bytes([sha]), bands.setdefault(sha, near)) for number, (sha, near) in enumerate(items)]


def clusters(pairs: list[tuple[int, int]], items: list[int]) -> set[frozenset[int]]:
    """Connected components, by brute force."""
    found = {item: {item} for item in items}
    for first, second in pairs:
        merged = found[first] | found[second]
        for item in merged:
            found[item] = merged
    return {frozenset(members) for members in found.values()}


def edges_of(database: duckdb.DuckDBPyConnection, rows: Rows, exact: bool, parts: int) -> Rows:
    """The edges of three bands and, if asked for, the exact hash, each in so many parts."""
    op, found = ir.Edges(granularity="file", exact=exact, key=0, bands=3), []
    for band in range(0 if exact else 1, 4):
        values = [(item, sha, near[band - 1] if near else None) for item, sha, near in rows]
        create(database, "band", "item BIGINT, sha256 BLOB, value UBIGINT", values)
        for part in range(parts):
            database.execute(f"SET VARIABLE band = {band}; SET VARIABLE part = {part}; SET VARIABLE parts = {parts}")
            found += database.execute(queries(op)["near" if band else "exact"]).fetchall()
    return found


@settings(max_examples=25, deadline=None)
@given(items=ITEMS, exact=st.booleans(), parts=st.integers(2, 5))
def test_edges_join_what_shares_a_bucket(database: Any, items: Any, exact: bool, parts: int) -> None:
    """The union over any number of parts is the same, and its components are those of all pairs."""
    clear(database)
    rows = consistent(items)
    whole = edges_of(database, rows, exact, 1)
    assert Counter(edges_of(database, rows, exact, parts)) == Counter(whole)
    assert all(first < second for first, second, _ in whole)
    wanted = [
        (one, other)
        for one, sha, near in rows
        for other, other_sha, other_near in rows
        if (exact and sha == other_sha)
        or (near and other_near and any(a == b for a, b in zip(near, other_near, strict=True)))
    ]
    items = [row[0] for row in rows]
    assert clusters([(first, second) for first, second, _ in whole], items) == clusters(wanted, items)


@settings(max_examples=25, deadline=None)
@given(
    items=ITEMS, stars=st.lists(st.integers(0, 2), min_size=12, max_size=12), exact=st.booleans(), order=st.randoms()
)
def test_a_cluster_keeps_one_whatever_the_order_of_rows(
    database: Any, items: Any, stars: Any, exact: bool, order: Any
) -> None:
    """Kept and dropped are all, one of each cluster is kept, and it does not depend on how rows arrive."""
    clear(database)
    rows = consistent(items)
    found = edges_of(database, rows, exact, 1)
    components = clusters([edge[:2] for edge in found], [row[0] for row in rows])
    near = clusters([edge[:2] for edge in found if edge[2]], [row[0] for row in rows])
    joined = [(item, min(members)) for members in near for item in members if len(members) > 1]
    keys = [(item, f"d{item:02}", sha, False, star, 0) for (item, sha, _), star in zip(rows, stars, strict=False)]
    columns = "position BIGINT, doc_id VARCHAR, sha256 BLOB, held_out BOOL, stars BIGINT, commit_time BIGINT"
    seen = []
    for _ in range(2):
        for shuffled in (keys, joined, found):
            order.shuffle(shuffled)
        create(database, "keys", columns, keys)
        create(
            database,
            "kept",
            "position BIGINT, language VARCHAR, held_out BOOL, sha256 BLOB",
            [(row[0], None, False, row[2]) for row in keys],
        )
        create(database, "component", "item BIGINT, cluster BIGINT", joined)
        create(database, "edges", "first BIGINT, second BIGINT, band INTEGER", found)
        for table in ("member", "ranked", "loser"):
            database.execute(f"DROP TABLE IF EXISTS {table}")
        seen.append(run(database, ir.Cluster(step="s", granularity="file", threshold=0.5)))
    assert seen[0]["kept"] == seen[1]["kept"]
    assert seen[0]["dropped"] == seen[1]["dropped"]
    kept = {row[0] for row in seen[0]["kept"]}
    dropped = {int(row[0][1:]): int(row[-1][1:]) for row in seen[0]["dropped"]}
    assert kept | set(dropped) == {row[0] for row in rows}
    assert not kept & set(dropped)
    assert all(len(kept & members) == 1 for members in components)
    assert all({item, survivor} <= next(m for m in components if item in m) for item, survivor in dropped.items())


# ---------------------------------------------------------------- hostile strings

HOSTILE = ["it's", "'; DROP TABLE documents; --", '"', "\\", "%_", "$1", "{x}", "a\nb", "ÄÖ 'é' 漢", "''"]


@pytest.mark.parametrize("text", HOSTILE)
def test_strings_are_quoted(duck: duckdb.DuckDBPyConnection, text: str) -> None:
    """Whatever a step, a keyword or a language is called."""
    assert duck.execute(f"SELECT {literal(text)}").fetchall() == [(text,)]
    columns = (
        "position BIGINT, doc_id VARCHAR, language VARCHAR, held_out BOOL, bytes BIGINT, content VARCHAR, repo VARCHAR"
    )
    rows = [(1, "hit", text, True, 5, f"x {text} y", "r"), (2, "miss", "c", False, 5, "nothing", "r")]
    create(duck, "documents", columns, rows)
    create(duck, "selection", "position BIGINT", [(1,), (2,)])
    assert run(duck, ir.Select(step=text, keywords=(text,))) == {
        "selection": [(1,)],
        "dropped": [("miss", text, "no_keyword", None, None, None)],
    }
    capped = run(duck, ir.Downsample(step=text, caps=((text, 0), ("c", 4))))
    assert capped["selection"] == [(1,)]
    assert capped["dropped"] == [("miss", text, "language_cap", 5.0, 4.0, None)]
    assert run(duck, ir.BitsPerByte(stage="s", languages=(text,)))["held_out"][0][0] == "hit"


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=20))
def test_any_string_is_a_literal(database: Any, text: str) -> None:
    """All of Unicode, as far as a file of text can hold it."""
    assert database.execute(f"SELECT {literal(text)}").fetchall() == [(text,)]


@pytest.mark.parametrize("keyword", ["Leet", "LEET", "ärger", "ÄRGER", "İstanbul", "ẞ", "ΣΊΣΥΦΟΣ"])
def test_keywords_match_in_any_case(duck: duckdb.DuckDBPyConnection, keyword: str) -> None:
    """The engine folds both sides, so that they fold alike."""
    columns = "position BIGINT, doc_id VARCHAR, content VARCHAR"
    create(duck, "documents", columns, [(1, "same", keyword), (2, "lower", keyword.lower()), (3, "none", "other")])
    create(duck, "selection", "position BIGINT", [(1,), (3,)])
    assert run(duck, ir.Select(step="s", keywords=(keyword,)))["selection"] == [(1,)]


# ---------------------------------------------------------------- seeded samples


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=15), cap=st.integers(0, 200), seed=st.integers(0, 99))
def test_a_cap_is_never_exceeded_and_never_wasted(database: Any, sizes: list[int], cap: int, seed: int) -> None:
    """The documents kept fit, the next one in order would not, and all are accounted for."""
    clear(database)
    documents = [(number, f"d{number}", "c", False, size) for number, size in enumerate(sizes)]
    columns = "position BIGINT, doc_id VARCHAR, language VARCHAR, held_out BOOL, bytes BIGINT"
    create(database, "documents", columns, documents)
    create(database, "selection", "position BIGINT", [(row[0],) for row in documents])
    found = run(database, ir.Downsample(step="s", caps=(("c", cap),), seed=seed))
    database.execute("DROP TABLE sized")
    kept = {row[0] for row in found["selection"]}
    used = sum(size for position, *_, size in documents if position in kept)
    assert used <= cap
    assert len(kept) + len(found["dropped"]) == len(documents)
    assert all(row[3] > cap for row in found["dropped"])
    if found["dropped"]:
        assert min(row[3] for row in found["dropped"]) > cap >= used


def test_another_seed_is_another_order(duck: duckdb.DuckDBPyConnection) -> None:
    """And the same seed the same, which no version of the engine may change: the order is pinned."""
    create(duck, "tokens", "doc_id VARCHAR, tokens INTEGER[]", [(f"d{i}", [i]) for i in range(8)])
    orders = [tuple(row[0][0] for row in run(duck, ir.Pack(dataset="c", seed=seed))["tokens"]) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] == (1, 3, 2, 4, 0, 6, 5, 7)
    assert orders[2] != orders[0]
