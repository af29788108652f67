"""The documents that `make quickstart` fetched, as one Parquet file for the benchmarks; prints its path.

    python scripts/benchmark_documents.py

Not a corpus of its own: it gathers what the store has, all shards in order, before anything is deduplicated.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq

from compiler import plan as plans
from compiler.errors import UserError
from runtime.store import Store

ROOT = Path(__file__).resolve().parent.parent
PLAN = ROOT / "build" / "opencoder_mini" / "plan.json"
TARGET = ROOT / "build" / "benchmarks" / "documents.parquet"
OPERATOR = "data.fetch_packages"


def gather() -> Path:
    """Write the documents of the plan's fetching task into one file; a UserError where it has not run."""
    task = next(task for task in plans.load(PLAN).tasks if task.op.op_id == OPERATOR)
    artifact = Store(ROOT / ".ocspec").find(task.fingerprint)
    if artifact is None:
        raise UserError(f"{task.id} has not run", where=str(PLAN), fix="run `make quickstart`, or give DATA=FILE")
    files = artifact.files("documents")
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(TARGET, pq.read_schema(files[0]), compression="zstd") as writer:
        for file in files:
            for batch in pq.ParquetFile(file).iter_batches():
                writer.write_batch(batch)
    return TARGET


def main() -> int:
    """Print the path, or what to do first."""
    try:
        sys.stdout.write(f"{gather()}\n")
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
