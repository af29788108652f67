"""Text to band keys, against datasketch 2 on the same documents in the same run.

    python benchmarks/near_dedup.py PATH.parquet [--configs 14x9,16x128] [--runs 3] [--column content]

It drops byte-exact copies by SHA-256, then times in turn, `--runs` times, CPU time on one thread:

* ours: tokenise, shingle, sign, band keys; on all documents, and on the subset that datasketch gets;
* datasketch, text: Python shingles (a set per document), then `MinHash.bulk` with affine32 permutations and
  xxh32 as its hash, which is several times faster than its default SHA-1; no band keys;
* datasketch, hashes: `MinHash.bulk` on ready 32-bit shingle hashes with the identity as its hash: no tokens,
  no shingles, no band keys.

The subset is every 20th of the distinct documents; ratios compare equal documents. The signatures that
datasketch makes of the ready hashes are checked to equal ours. It tests no recall, and writes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from datasketch import MinHash

from runtime.data.components import connected_components
from runtime.data.lsh import band_keys, threshold
from runtime.data.minhash import MinHasher

NGRAM = 5
BATCH = 1024
SUBSET_STEP = 20
MIN_CPU_SECONDS = 0.2
WORD = re.compile(rb"[A-Za-z0-9_\x80-\xff]+")
FIRST_KEYS = """
import time, pyarrow
start = time.perf_counter()
from runtime.data.lsh import band_keys
from runtime.data.minhash import MinHasher
band_keys(MinHasher(126).signatures(pyarrow.array(["def f(x): return x + 1"]))[0], 14, 9)
print(time.perf_counter() - start)
"""


def as_bytes(texts: pa.Array[Any] | pa.ChunkedArray[Any]) -> list[bytes]:
    """The documents as Python objects, nulls as empty."""
    return [text or b"" for text in texts.to_pylist()]


def read_distinct(path: str, column: str) -> tuple[pa.Array[Any], int]:
    """The first of each group of byte-identical documents, and how many rows there were."""
    texts = as_bytes(pq.read_table(path, columns=[column])[column].cast(pa.large_binary()))
    distinct = {hashlib.sha256(text).digest(): text for text in texts}
    return pa.array(distinct.values(), pa.large_binary()), len(texts)


def ours(hasher: MinHasher, texts: pa.Array[Any], bands: int, rows: int) -> npt.NDArray[np.uint64]:
    """Band keys of all texts, batch by batch, so that signatures never pile up."""
    batches = (texts.slice(start, BATCH) for start in range(0, len(texts), BATCH))
    return np.concatenate([band_keys(hasher.signatures(batch)[0], bands, rows) for batch in batches])


def python_shingles(text: bytes) -> set[bytes]:
    """The distinct n-grams of a text, the way a Python user of datasketch makes them."""
    tokens = WORD.findall(text)
    count = max(len(tokens) - NGRAM + 1, min(len(tokens), 1))
    return {b" ".join(tokens[i : i + NGRAM]) for i in range(count)}


def bulk(sets: Iterable[Iterable[Any]], num_perm: int, hashfunc: Callable[[Any], int]) -> list[MinHash]:
    """Sketches by datasketch's own bulk interface, with the permutations that we share."""
    sketches: list[MinHash] = MinHash.bulk(sets, num_perm=num_perm, seed=1, scheme="affine32", hashfunc=hashfunc)
    return sketches


def rate(work: Callable[[], object], megabytes: float) -> float:
    """MB/s of CPU time, repeated until the clock's grain does not matter."""
    done, start = 0, time.process_time()
    while done == 0 or time.process_time() - start < MIN_CPU_SECONDS:
        work()
        done += 1
    return megabytes * done / (time.process_time() - start)


def kept_after_near_dedup(keys: npt.NDArray[np.uint64], nodes: npt.NDArray[np.int64]) -> int:
    """Number of connected components when the documents `nodes` with an equal key in a band are joined."""
    left, right = [], []
    for column in keys[nodes].T:
        order = np.argsort(column, kind="stable")
        same = column[order[1:]] == column[order[:-1]]
        left.append(nodes[order[1:][same]])
        right.append(nodes[order[:-1][same]])
    return len(np.unique(connected_components(len(keys), np.concatenate(left), np.concatenate(right))))


def start_up() -> tuple[float, float]:
    """Wall seconds from import to first keys in a fresh process: no compiled code on disk, then with."""
    command = [sys.executable, "-c", FIRST_KEYS]
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        runs = [subprocess.run(command, env=environment, check=True, capture_output=True) for _ in range(2)]
    return float(runs[0].stdout), float(runs[1].stdout)


def measure(texts: pa.Array[Any], bands: int, rows: int, runs: int) -> dict[str, list[float]]:
    """MB/s/core of each contender in each run, interleaved."""
    num_perm = bands * rows
    hasher = MinHasher(num_perm, ngram=NGRAM)
    subset = texts.take(pa.array(range(0, len(texts), SUBSET_STEP), pa.int64()))
    subset_texts = as_bytes(subset)
    hashes = [hasher.shingle_hashes(text).tolist() for text in subset_texts]
    expected = np.stack([sketch.hashvalues for sketch in bulk(hashes, num_perm, int)])
    assert np.array_equal(hasher.signatures(subset)[0], expected), "signatures differ from datasketch's"

    all_mb = sum(map(len, as_bytes(texts))) / 1e6
    subset_mb = sum(map(len, subset_texts)) / 1e6
    contenders: dict[str, tuple[Callable[[], object], float]] = {
        "ours, all documents": (lambda: ours(hasher, texts, bands, rows), all_mb),
        "ours": (lambda: ours(hasher, subset, bands, rows), subset_mb),
        "datasketch, text": (
            lambda: bulk(map(python_shingles, subset_texts), num_perm, xxhash.xxh32_intdigest),
            subset_mb,
        ),
        "datasketch, hashes": (lambda: bulk(hashes, num_perm, int), subset_mb),
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, (work, megabytes) in contenders.items():
            rates[name].append(rate(work, megabytes))
    return rates


def report(texts: pa.Array[Any], bands: int, rows: int, runs: int) -> None:
    """Measure one configuration and print its table."""
    rates = measure(texts, bands, rows, runs)
    counts = MinHasher(1, ngram=NGRAM).signatures(texts)[1]
    keys = ours(MinHasher(bands * rows, ngram=NGRAM), texts, bands, rows)
    kept = kept_after_near_dedup(keys, np.flatnonzero(counts))
    print(f"\n{bands} bands x {rows} rows, threshold J = {threshold(bands, rows):.3f}")
    print(f"  kept after near dedup {kept:,} of {len(texts):,}")
    for name, values in rates.items():
        spread = f"({min(values):.2f} .. {max(values):.2f})"
        print(f"  {name:20} {statistics.median(values):8.2f} MB/s/core  {spread}")
    for peer in ("datasketch, text", "datasketch, hashes"):
        ratios = [mine / theirs for mine, theirs in zip(rates["ours"], rates[peer], strict=True)]
        spread = f"({min(ratios):.1f} .. {max(ratios):.1f})"
        print(f"  ours / {peer:18} {statistics.median(ratios):6.1f} x  {spread}")


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", metavar="PATH.parquet")
    parser.add_argument("--configs", default="14x9,16x128", help="bands x rows, comma-separated")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--column", default="content")
    arguments = parser.parse_args()
    cold, warm = start_up()
    print(f"start-up to the first band keys: {cold:.2f} s cold, {warm:.2f} s with compiled code on disk")
    texts, num_rows = read_distinct(arguments.path, arguments.column)
    print(f"{num_rows:,} documents, {len(texts):,} distinct; datasketch gets every {SUBSET_STEP}th of these")
    for config in arguments.configs.split(","):
        bands, rows = map(int, config.split("x"))
        report(texts, bands, rows, arguments.runs)


if __name__ == "__main__":
    main()
