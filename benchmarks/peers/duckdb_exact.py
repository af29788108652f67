"""Exact deduplication by DuckDB alone: CORPUS.parquet OUT. One id for each SHA-256, written as Parquet."""

from __future__ import annotations

import sys

import duckdb


def main() -> None:
    """Run the query on one thread."""
    corpus, out = sys.argv[1:]
    connection = duckdb.connect(config={"threads": 1, "memory_limit": "1GB", "temp_directory": f"{out}/spill"})
    connection.execute(
        f"COPY (SELECT min(id) AS id FROM read_parquet('{corpus}') GROUP BY sha256(content)) "
        f"TO '{out}/kept.parquet' (FORMAT parquet)"
    )
    print("kept", connection.execute(f"SELECT count(*) FROM '{out}/kept.parquet'").fetchall()[0][0])


if __name__ == "__main__":
    main()
