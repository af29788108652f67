"""The product's side of the comparisons: its real operators over Parquet, in one process, output written.

    python -m benchmarks.ours dedup CORPUS.parquet OUT --bands 14x9
    python -m benchmarks.ours exact CORPUS.parquet OUT
    python -m benchmarks.ours sign CORPUS.parquet OUT --bands 14x9 --shard 0/2
    python -m benchmarks.ours refine CORPUS.parquet OUT

CORPUS has the columns content, id, repo and path; OUT gets what the tasks of a plan would leave in the store.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from compiler import ir
from compiler.emit.duckdb_sql import queries
from runtime.operators import load
from runtime.task import Artifact, TaskContext

COLUMNS = ir.Columns(content="content", doc_id="id", repo="repo", path="path", commit_time="commit_time")


class Tasks:
    """Runs operators one after another, each in a directory of its own."""

    def __init__(self, out: Path, memory_mb: int, shard: int = 0, shards: int = 1) -> None:
        self.out, self.memory_mb, self.shard, self.shards = out, memory_mb, shard, shards

    def run(self, name: str, op: ir.Operator, **inputs: Artifact) -> Artifact:
        """One shard of an operator."""
        folder = self.out / name
        for part in ("out", "scratch", "resume"):
            (folder / part).mkdir(parents=True)
        ctx = TaskContext(
            task_id=name,
            out=folder / "out",
            scratch=folder / "scratch",
            resume=folder / "resume",
            cache=self.out / "cache",
            inputs={role: (artifact,) for role, artifact in inputs.items()},
            sql=queries(op),
            base=Path.cwd(),
            memory_mb=self.memory_mb,
            shard=self.shard,
            shards=self.shards,
        )
        load(op.op_id)(op, ctx)
        return Artifact(path=folder / "out", manifest={"stats": ctx.stats})


def deduplicated(tasks: Tasks, reader: ir.Reader, key: ir.MinHashKey | None) -> Artifact:
    """Parquet to the list of documents that stay: exact, and near where a key is given."""
    index, bands = (0, key.bands) if key else (None, 0)
    signed = tasks.run("sign", ir.Sign(dataset="corpus", readers=(reader,), near=(key,) if key else ()))
    op = ir.Edges(granularity="file", exact=True, key=index, bands=bands)
    edges = tasks.run("edges", op, keys=signed, kept=signed)
    verdict = ir.Cluster(step="deduplicate", granularity="file")
    return tasks.run("cluster", verdict, keys=signed, kept=signed, edges=edges)


def main() -> None:
    """Run one task and print what it kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["dedup", "exact", "sign", "refine"])
    parser.add_argument("corpus")
    parser.add_argument("out", type=Path)
    parser.add_argument("--bands", default="16x128")
    parser.add_argument("--memory-mb", type=int, default=1024)
    parser.add_argument("--shard", default="0/1", help="which part of the corpus `sign` and `refine` read")
    args = parser.parse_args()
    shard, shards = map(int, args.shard.split("/"))
    bands, rows = map(int, args.bands.split("x"))
    key = ir.MinHashKey(granularity="file", bands=bands, rows=rows)
    reader = ir.Reader(source="corpus", format="parquet", location=args.corpus, columns=COLUMNS)
    tasks = Tasks(args.out, args.memory_mb, shard, shards)
    if args.what == "sign":
        verdict = tasks.run("sign", ir.Sign(dataset="corpus", readers=(reader,), near=(key,)))
    elif args.what == "refine":
        from compiler.quality_rules import DEFAULT_RULES

        signed = tasks.run(
            "sign", ir.Sign(dataset="corpus", readers=(reader,), admit=ir.AdmitRule(max_bytes=8_000_000))
        )
        op = ir.Refine(dataset="corpus", readers=(reader,), redact_copyright=True, redact_pii=True, rules=DEFAULT_RULES)
        verdict = tasks.run("refine", op, kept=signed)
    else:
        verdict = deduplicated(tasks, reader, None if args.what == "exact" else key)
    stats = verdict.manifest["stats"]
    print(f"kept {stats['kept']:,} of {stats['in']:,}")


if __name__ == "__main__":
    main()
