"""The DuckDB session of a task: views over its inputs, its limits, and results streamed to Parquet.

It runs the SQL text of the plan and adds none of its own beyond views and settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from compiler.errors import UserError
from runtime.data.funnel import NO_LANGUAGE
from runtime.data.tables import TableWriter
from runtime.task import TaskContext

BATCH_ROWS = 8192
MEMORY_SHARE = 0.6  # of the task's memory; the rest is Arrow's and Python's


@contextmanager
def session(ctx: TaskContext, **views: Sequence[Path]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection within the task's memory and threads, with a view per keyword over Parquet files."""
    with duckdb.connect() as connection:
        connection.execute(f"SET memory_limit = '{int(ctx.memory_mb * MEMORY_SHARE)}MB'")
        connection.execute(f"SET threads = {ctx.threads}")
        connection.execute("SET temp_directory = ?", [str(ctx.scratch)])
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"SET VARIABLE shard = {ctx.shard}")
        connection.execute(f"SET VARIABLE shards = {ctx.shards}")
        for name, files in views.items():
            view(connection, name, files)
        yield connection


def band_view(connection: duckdb.DuckDBPyConnection, rows: str, value: str | None) -> None:
    """The view `band` over `rows`: their item and exact hash, and the column `value` if one is named."""
    columns = "item, sha256" + (f', "{value}" AS value' if value else "")
    connection.execute(f"CREATE OR REPLACE TEMP VIEW band AS SELECT {columns} FROM {rows}")


def view(connection: duckdb.DuckDBPyConnection, name: str, files: Sequence[Path]) -> None:
    """A view over Parquet files, in the order of their names."""
    connection.read_parquet([str(path) for path in files]).create_view(name)


def selection_view(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> None:
    """The view `selection`; without a selection every document is selected."""
    if files:
        view(connection, "selection", files)
    else:
        connection.execute("CREATE VIEW selection AS SELECT position FROM documents")


def batches(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    """The rows of a query, streamed."""
    try:
        yield from connection.sql(query).to_arrow_reader(BATCH_ROWS)
    except duckdb.OutOfMemoryException as error:
        raise UserError(
            f"DuckDB needs more memory than the task has ({str(error).splitlines()[0]})",
            fix="raise memory in the profile or use more shards",
        ) from None


def write(connection: duckdb.DuckDBPyConnection, query: str, directory: Path, schema: pa.Schema) -> int:
    """Write the rows of a query as Parquet; returns how many they are."""
    with TableWriter(directory, schema) as writer:
        for batch in batches(connection, query):
            writer.write(batch)
    return writer.rows


def number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    """The one whole number that a query gives."""
    ((value,),) = connection.execute(query).fetchall()
    return int(value)


def languages(connection: duckdb.DuckDBPyConnection, rows: str) -> dict[str, int]:
    """How many of `rows` (a table, a view or a query in brackets with a column `language`) each language has."""
    query = f"SELECT coalesce(language, '{NO_LANGUAGE}'), count(*) FROM {rows} GROUP BY 1 ORDER BY 1"
    return {str(language): int(number) for language, number in connection.execute(query).fetchall()}


def count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Rows of a table or view."""
    return number(connection, f'SELECT count(*) FROM "{table}"')
