"""rensa's RMinHash from text: CORPUS.parquet PERMUTATIONS. Distinct 5-grams of words in Python, then its sketch."""

from __future__ import annotations

import glob
import re
import sys

import pyarrow.parquet as pq
from rensa import RMinHash

WORD = re.compile(r"[A-Za-z0-9_\x80-\U0010ffff]+")


def main() -> None:
    """Sign every document and count them."""
    corpus, permutations = sys.argv[1], int(sys.argv[2])
    count = 0
    files = (pq.ParquetFile(file) for file in sorted(glob.glob(corpus)))
    for batch in (batch for file in files for batch in file.iter_batches(512, columns=["content"])):
        for text in batch.column("content").to_pylist():
            tokens = WORD.findall(text)
            sketch = RMinHash(num_perm=permutations, seed=1)
            sketch.update(list({" ".join(tokens[i : i + 5]) for i in range(max(1, len(tokens) - 4))}))
            sketch.digest()
            count += 1
    print("signed", count)


if __name__ == "__main__":
    main()
