"""Checks of quality rules that are SQL expressions: parsed and bound by DuckDB against an empty table.

It evaluates nothing. An expression may name every signal (DOUBLE, NULL where it does not apply) and the columns
COLUMNS; it has to be BOOLEAN, and a function of its row alone: no subqueries, aggregates, windows or parameters,
and no function whose value depends on a clock, a random generator, the session or the version of DuckDB.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import duckdb

from compiler.quality_rules import SIGNAL_RANGES

COLUMNS = {
    "language": "VARCHAR",
    "doc_type": "VARCHAR",
    "repo": "VARCHAR",
    "path": "VARCHAR",
    "stars": "BIGINT",
    "bytes": "BIGINT",
}

# Parts of an expression that are functions of one row.
_ROW_WISE = {"BETWEEN", "CASE", "CAST", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "OPERATOR"}
_ROW_WISE |= {"TYPE"}  # that of a cast
_REFUSED = {"SUBQUERY": "a subquery", "WINDOW": "a window function", "STAR": "a star", "PARAMETER": "a parameter"}
# DuckDB calls these consistent, but they read the clock, or change with DuckDB's version.
_UNSTABLE = {"age", "current_localtime", "current_localtimestamp", "hash", "version"}

Problem = tuple[str, str]  # what is wrong, how to fix it


def problem(where: str) -> Problem | None:
    """What is wrong with the expression and how to fix it; None if it can be used.

    >>> problem("num_lines < 20 AND path LIKE 'test%'") is None
    True
    >>> problem("num_wrds < 20")
    ("no signal or column is called 'num_wrds'", "did you mean 'num_words'?")
    """
    try:
        tree = _parse(where)
    except ValueError as error:
        return f"this is not a SQL expression: {error}", 'write a condition such as "num_lines < 20"'
    found = next(_refused_parts(tree), None) or next(_unknown_columns(tree), None)
    if found is None and not columns(where):
        found = "it names no signal and no column, so that its value is always the same", "compare a signal"
    return found or _type_problem(where)


def columns(where: str) -> tuple[str, ...]:
    """The signals and columns that a checked expression names, sorted.

    >>> columns("num_lines < 20 AND path LIKE 'test%' OR NUM_LINES > 900")
    ('num_lines', 'path')
    """
    named = {node["column_names"][0].lower() for node in _nodes(_parse(where)) if node["class"] == "COLUMN_REF"}
    return tuple(sorted(named))


def _parse(where: str) -> dict[str, Any]:
    """The expression's tree as DuckDB serialises it; ValueError with DuckDB's message."""
    with duckdb.connect() as connection:
        # In brackets an expression can't close what it did not open, and a comma shows.
        row = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT [{where}\n]"]).fetchone()
    assert row is not None
    found = json.loads(row[0])
    if found["error"]:
        raise ValueError(found["error_message"])
    (bracket,) = found["statements"][0]["node"]["select_list"]
    items = bracket.get("arguments") or bracket.get("children") or []
    if bracket.get("function_name") != "list_value" or len(items) != 1:
        raise ValueError("exactly one condition is needed")
    item: dict[str, Any] = items[0].get("expression", items[0])
    return item


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every expression in a tree, without recursion into what is refused anyway."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            if "class" in node:
                yield node
            pending.extend(value for value in node.values() if isinstance(value, dict | list))


def _refused_parts(tree: dict[str, Any]) -> Iterator[Problem]:
    """What is no function of one row."""
    for node in _nodes(tree):
        kind = node["class"]
        if kind not in _ROW_WISE:
            yield f"{_REFUSED.get(kind, kind.lower())} is not a function of one document", "compare signals and columns"
        elif kind == "FUNCTION" and node["function_name"] not in _functions():
            name = node["function_name"]
            yield f"the function {name} is unknown or no function of its arguments alone", f"write it without {name}"


def _unknown_columns(tree: dict[str, Any]) -> Iterator[Problem]:
    """Names that no signal and no column has."""
    known = [*SIGNAL_RANGES, *COLUMNS]
    for node in _nodes(tree):
        if node["class"] != "COLUMN_REF":
            continue
        name = ".".join(node["column_names"])
        if name.lower() not in known:
            close = difflib.get_close_matches(name.lower(), known, n=1)
            hint = (
                f"did you mean {' or '.join(map(repr, close))}?"
                if close
                else "docs/reference/quality-rules.md lists the signals"
            )
            yield f"no signal or column is called {name!r}", hint


def _type_problem(where: str) -> Problem | None:
    """The message with which DuckDB refuses to bind the expression, or a type other than BOOLEAN."""
    with duckdb.connect() as connection:
        _create(connection)
        try:
            (kind,) = connection.sql(f"SELECT ({where}\n) FROM documents").types  # noqa: S608 - what it checks
        except duckdb.Error as error:
            return f"DuckDB refuses it: {str(error).splitlines()[0]}", "compare numbers with numbers, text with text"
    if str(kind) != "BOOLEAN":
        return f"its type is {kind}, not BOOLEAN", "write a condition, for example with < or ="
    return None


def _create(connection: duckdb.DuckDBPyConnection) -> None:
    """An empty table of documents, with a column for every signal and for what is known besides."""
    kinds = dict.fromkeys(SIGNAL_RANGES, "DOUBLE") | COLUMNS
    connection.execute(f"CREATE TABLE documents ({', '.join(f'{name} {kind}' for name, kind in kinds.items())})")


@cache
def _functions() -> frozenset[str]:
    """Scalar functions whose value depends on their arguments alone."""
    query = """SELECT function_name FROM duckdb_functions() WHERE function_type = 'scalar'
        GROUP BY ALL HAVING bool_and(stability = 'CONSISTENT' AND NOT has_side_effects)"""
    with duckdb.connect() as connection:
        names = {name for (name,) in connection.execute(query).fetchall()}
    return frozenset(names - _UNSTABLE)


def constant(where: str) -> bool | None:
    """Whether a checked expression is true of every document that has all signals, or of none; None where it depends.

    DuckDB's optimizer decides, from the ranges of the signals: what it cannot prove depends.

    >>> (
    ...     constant("num_lines < 5 AND num_lines > 10"),
    ...     constant("num_lines < 5 OR num_lines > 3"),
    ...     constant("num_lines < 5"),
    ... )
    (False, True, None)
    """
    connection = _bounds()
    if _is_empty(connection, where):
        return False
    return True if _is_empty(connection, f"NOT ({where}\n)") else None


@cache
def _bounds() -> duckdb.DuckDBPyConnection:
    """A table of three documents: one with every signal at its lowest, one at its highest, and one that has none."""
    connection = duckdb.connect()
    _create(connection)
    for end, text, whole in ((0, "''", "0"), (1, "repeat(chr(1114111), 2000)", str(2**62))):
        signals = [repr(min(bound[end], 1e300)) for bound in SIGNAL_RANGES.values()]
        others = [text if kind == "VARCHAR" else whole for kind in COLUMNS.values()]
        connection.execute(f"INSERT INTO documents VALUES ({', '.join(signals + others)})")  # noqa: S608 - our numbers
    nothing = ", ".join("NULL" for _ in (*SIGNAL_RANGES, *COLUMNS))
    connection.execute(f"INSERT INTO documents VALUES ({nothing})")  # noqa: S608 - nulls
    return connection


def _is_empty(connection: duckdb.DuckDBPyConnection, where: str) -> bool:
    """Whether the optimizer proves that no row of the table's bounds satisfies the condition."""
    query = f"EXPLAIN (FORMAT json) SELECT * FROM documents WHERE ({where}\n)"  # noqa: S608 - checked before
    row = connection.execute(query).fetchone()
    assert row is not None
    return bool(json.loads(row[1])[0]["name"].strip() == "EMPTY_RESULT")


def count(where: str, rows: list[dict[str, float | str]]) -> int:
    """For how many rows, each with the same names, a checked expression of these names is true.

    >>> count("num_lines < 5 AND path LIKE '%.py'", [{"num_lines": 3, "path": "a.py"}, {"num_lines": 3, "path": "a.c"}])
    1
    """
    kinds = ", ".join(f"{name} {COLUMNS.get(name, 'DOUBLE')}" for name in rows[0])
    query = f"""SELECT count(*) FROM (SELECT unnest(?::STRUCT({kinds})[], recursive := true))
        WHERE ({where}\n)"""  # noqa: S608 - checked before
    with duckdb.connect() as connection:
        found = connection.execute(query, [rows]).fetchone()
    assert found is not None
    return int(found[0])
