"""Whole deduplication, Parquet to keep-list, against peers on the same documents in the same run.

    python -m benchmarks.dedup_pipeline CORPUS.parquet [--runs 3] [--peer-documents 2000]
        [--sides ours,scaling,duckdb,rensa,datatrove,text-dedup]

CORPUS is one Parquet file or a quoted glob of files with the columns id, repo, path, content and commit_time. Each side
is a process of its own, start-up and output included, on one thread; it prints CPU seconds (of all its processes), wall
seconds and peak memory, and ratios of CPU time. Peers install themselves from PyPI into environments under
build/benchmarks. Peers of a hundredth of the speed get every n-th document, `--peer-documents` in all, and ours is then
measured on the same ones too: start-up weighs on both sides.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.harness import Cost, compare, environment, machine, run

PEERS = Path(__file__).parent / "peers"
CONFIGS = ("14x9", "16x128")


SIZE_OF = """
import glob, sys, pyarrow.compute as pc, pyarrow.parquet as pq
batches = (b for f in sorted(glob.glob(sys.argv[1])) for b in pq.ParquetFile(f).iter_batches(1024, columns=["content"]))
print(sum(pc.sum(pc.binary_length(batch.column("content"))).as_py() for batch in batches))
"""
SAMPLE_OF = """
import glob, sys, pyarrow as pa, pyarrow.parquet as pq
files = sorted(glob.glob(sys.argv[1]))
step, first, parts = max(1, sum(pq.read_metadata(f).num_rows for f in files) // int(sys.argv[2])), 0, []
for batch in (batch for file in files for batch in pq.ParquetFile(file).iter_batches(1024)):
    parts.append(batch.take(pa.array(range(-first % step, batch.num_rows, step), pa.int64())))
    first += batch.num_rows
pq.write_table(pa.Table.from_batches(parts), sys.argv[3])
"""


# In processes of their own: what this one holds would count as the memory of those that it measures.
def megabytes(corpus: str) -> float:
    """Source text in MB."""
    done = subprocess.run([sys.executable, "-c", SIZE_OF, corpus], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1e6


def sample(corpus: str, documents: int, folder: str) -> str:
    """Every n-th document as one file."""
    path = f"{folder}/sample.parquet"
    subprocess.run([sys.executable, "-c", SAMPLE_OF, corpus, str(documents), path], check=True)
    return path


def ours(what: str, corpus: str, *more: str) -> list[str]:
    """Our own process."""
    return [sys.executable, "-m", "benchmarks.ours", what, corpus, "{out}", *more]


def table(title: str, size: float, found: dict[str, tuple[Cost, str]], first: str) -> None:
    """Rates of all sides, and how many times faster the first one is."""
    print(f"\n{title}: {size:.1f} MB of text")
    for name, (cost, said) in found.items():
        ratio = cost.cpu / found[first][0].cpu
        print(
            f"  {name:28} {size / cost.cpu:8.2f} MB/s of CPU  {size / cost.wall:8.2f} MB/s of wall time  "
            f"{cost.rss_mb:6.0f} MB  x{ratio:.2f}  {said}"
        )


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sides", default="ours,scaling,duckdb,rensa,datatrove,text-dedup")
    parser.add_argument("--peer-documents", type=int, default=2000)
    args = parser.parse_args()
    sides = args.sides.split(",")
    size = megabytes(args.corpus)
    print(machine())
    if "ours" in sides:
        found = compare({f"ours {c}": ours("dedup", args.corpus, "--bands", c) for c in CONFIGS}, args.runs)
        table("near, whole corpus", size, found, "ours 14x9")
    if "scaling" in sides:
        for config in CONFIGS:
            scaling(args.corpus, config, args.runs)
    if "duckdb" in sides:
        duckdb = environment("duckdb", "duckdb", "pyarrow")
        script = str(PEERS / "duckdb_exact.py")
        found = compare(
            {"ours": ours("exact", args.corpus), "DuckDB sha256()": [duckdb, script, args.corpus, "{out}"]}, args.runs
        )
        table("exact, whole corpus", size, found, "ours")
    if "rensa" in sides:
        for config in CONFIGS:
            compare_signatures(args.corpus, size, config, args.runs)
    if not {"datatrove", "text-dedup"} & set(sides):
        return
    with tempfile.TemporaryDirectory() as folder:
        part = sample(args.corpus, args.peer_documents, folder)
        compare_sample(part, megabytes(part), sides, args.runs)


def scaling(corpus: str, config: str, runs: int) -> None:
    """Wall time of `sign` by one process, and by two at once of half the corpus each, start-up included."""
    one, two = [], []
    for _ in range(runs):
        one.append(at_once([ours("sign", corpus, "--bands", config)]))
        two.append(at_once([ours("sign", corpus, "--bands", config, "--shard", f"{k}/2") for k in (0, 1)]))
    alone, together = statistics.median(one), statistics.median(two)
    print(f"\nsign {config}: one process {alone:.1f} s, two {together:.1f} s: x{alone / together:.2f}")


def at_once(commands: list[list[str]]) -> float:
    """Wall seconds of commands that run side by side."""
    with ThreadPoolExecutor() as pool:
        start = time.perf_counter()
        list(pool.map(run, commands))
        return time.perf_counter() - start


def compare_signatures(corpus: str, size: float, config: str, runs: int) -> None:
    """rensa, from text to signatures."""
    bands, rows = map(int, config.split("x"))
    rensa, permutations = environment("rensa", "rensa", "pyarrow"), str(bands * rows)
    sides = {
        "ours": [sys.executable, "-m", "benchmarks.ours_signatures", corpus, permutations],
        "rensa RMinHash": [rensa, str(PEERS / "rensa_signatures.py"), corpus, permutations],
    }
    table(f"text to signature, {permutations} permutations", size, compare(sides, runs), "ours")


def compare_sample(part: str, size: float, sides: list[str], runs: int) -> None:
    """The slow peers, on a sample."""
    for config in CONFIGS:
        bands, rows = map(int, config.split("x"))
        pipelines = {"ours": ours("dedup", part, "--bands", config)}
        if "datatrove" in sides:
            python = environment("datatrove", "datatrove[io,processing]", "spacy")
            pipelines["datatrove"] = [python, str(PEERS / "datatrove_minhash.py"), part, "{out}", config]
        if "text-dedup" in sides:
            python = environment("text-dedup", "text-dedup")
            options = ["--path", "parquet", "--data_files", part, "--split", "train", "--column", "content"]
            options += ["--output", "{out}/kept", "--cache_dir", "{out}/cache", "--ngram", "5", "--hash_func", "xxh3"]
            options += ["--num_perm", str(bands * rows), "--b", str(bands), "--r", str(rows), "--hash_bits", "32"]
            pipelines["text-dedup"] = [python, "-m", "text_dedup.minhash", *options]
        if len(pipelines) > 1:
            table(f"near {config}, whole pipeline", size, compare(pipelines, runs), "ours")


if __name__ == "__main__":
    main()
