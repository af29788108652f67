"""Our signatures from text, for the comparison with rensa: CORPUS.parquet PERMUTATIONS."""

from __future__ import annotations

import glob
import sys

import pyarrow.parquet as pq

from runtime.data.minhash import MinHasher


def main() -> None:
    """Sign every document and count them."""
    hasher, count = MinHasher(int(sys.argv[2])), 0
    files = (pq.ParquetFile(file) for file in sorted(glob.glob(sys.argv[1])))
    for batch in (batch for file in files for batch in file.iter_batches(512, columns=["content"])):
        count += len(hasher.signatures(batch.column("content"))[0])
    print("signed", count)


if __name__ == "__main__":
    main()
