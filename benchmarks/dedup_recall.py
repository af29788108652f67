"""Which pairs near deduplication finds, against their exact Jaccard similarity; and whose signatures they are.

    python -m benchmarks.dedup_recall CORPUS.parquet [--documents 2000] [--seeds 1-5]
        [--configs 14x9@0.7,16x128@0.96,128x16@0.7]
    python -m benchmarks.dedup_recall CORPUS.parquet --identity

CORPUS has the columns `path` and `content`. The first part measures recall and precision on a sample:

* Byte-exact copies go first, by SHA-256. Of the rest, those stay whose path hashes into the share that leaves about
  `--documents` (0: all of them). All versions of one file, in releases or forks, have one path and so stay or go
  together: of documents drawn one by one, hardly a pair would resemble each other. Documents without a word go too.
* The truth is computed for all pairs, by the definition and without hashing: tokens by a regular expression, distinct
  5-grams of them as numbers that stand for exactly one 5-gram each, and the product of the matrix of documents and
  5-grams with its transpose. It shares no code with the kernel under test.
* A pair is found if it shares the key of a band. Theory says with what chance, 1 - (1 - J**rows)**bands, here averaged
  over the pairs of a bin. The binomial standard error of the mean over seeds takes pairs as independent, which they
  are not: twenty versions of a file make 190 pairs, and a seed finds many of them or few. That over seeds does not
  take them so, but wants many seeds: below the threshold most find little and a few find whole families.
* CONFIG@J says from which similarity on a pair counts as true; without it, (1/bands)^(1/rows) to three places.
* Kept documents are one of each connected component, as in the pipeline, of found pairs and of true ones.

The second compares, for every document of the corpus, copies included, our signatures of its text with those that
datasketch 2 makes of its 32-bit shingle hashes by the same permutations. It times nothing.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_array

from benchmarks.harness import machine
from benchmarks.near_dedup import BATCH, NGRAM, WORD, as_bytes, bulk, ours
from runtime.data.components import connected_components
from runtime.data.lsh import threshold
from runtime.data.minhash import MinHasher

FLOOR = 0.1  # a pair below is found with a chance of at most bands * FLOOR**rows: 14 x 9, 1.4e-8
EDGES = (FLOOR, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.94, 0.96, 0.98, 1.0)
ROWS_AT_ONCE = 256
IDENTITY_WIDTHS = (126, 2048)

_I64 = npt.NDArray[np.int64]
_F64 = npt.NDArray[np.float64]
_Bool = npt.NDArray[np.bool_]


class Config(NamedTuple):
    """Bands, rows, and from which Jaccard similarity on a pair is true."""

    bands: int
    rows: int
    least: float

    @classmethod
    def parse(cls, text: str) -> Config:
        """Read 16x128@0.96 or 16x128."""
        shape, _, least = text.partition("@")
        bands, rows = map(int, shape.split("x"))
        return cls(bands, rows, float(least) if least else round(threshold(bands, rows), 3))


class Truth(NamedTuple):
    """Pairs of documents at least FLOOR similar: codes left * num_documents + right, ascending, and similarities."""

    num_documents: int
    codes: _I64
    jaccard: _F64


def read_sample(path: str, documents: int) -> tuple[list[bytes], int, int]:
    """The sample, and how many rows and distinct documents the corpus has."""
    table = pq.read_table(path, columns=["path", "content"])
    distinct: dict[bytes, tuple[Any, bytes]] = {}
    for name, text in zip(table["path"].to_pylist(), as_bytes(table["content"].cast(pa.large_binary())), strict=True):
        distinct.setdefault(hashlib.sha256(text).digest(), (name, text))
    share = documents / len(distinct) if documents else 1.0

    def drawn(name: Any) -> bool:
        return int.from_bytes(hashlib.sha256(str(name).encode()).digest()[:8], "big") < share * 2**64

    texts = [text for name, text in distinct.values() if drawn(name) and WORD.search(text)]
    return texts, table.num_rows, len(distinct)


def shingle_matrix(texts: Sequence[bytes]) -> csr_array:
    """Documents x distinct n-grams, ones; a document of fewer tokens, but some, is one n-gram, ended by zeros."""
    numbers: dict[bytes, int] = {}
    tokens = [[numbers.setdefault(token, len(numbers) + 1) for token in WORD.findall(text)] for text in texts]
    padded = [found + [0] * (NGRAM - len(found)) for found in tokens]
    document = np.repeat(np.arange(len(texts)), [len(found) for found in padded])
    token = np.concatenate([np.array(found, dtype=np.int64) for found in padded])
    gram = token
    for place in range(1, NGRAM):  # numbers of (n-gram, next token) are those of the n-grams of one more
        gram = np.unique(gram[:-1] << 32 | token[place:], return_inverse=True)[1]
    within = document[: len(gram)] == document[NGRAM - 1 :]
    return incidence(document[: len(gram)][within], gram[within])


def incidence(rows: _I64, columns: _I64) -> csr_array:
    """The matrix with a one where (row, column) occurs, repeated or not."""
    codes = np.unique(rows << 32 | columns)
    ones = np.ones(len(codes), dtype=np.int32)
    return csr_array((ones, (codes >> 32, codes & 0xFFFFFFFF)))


def shared(matrix: csr_array) -> Iterator[tuple[_I64, _I64, _I64]]:
    """All pairs left < right of rows with a column in common, and how many they share, some rows at a time."""
    transposed = matrix.T.tocsr()
    for start in range(0, matrix.shape[0], ROWS_AT_ONCE):
        product = (matrix[start : start + ROWS_AT_ONCE] @ transposed).tocoo()
        left, right = product.row.astype(np.int64) + start, product.col.astype(np.int64)
        upper = left < right
        yield left[upper], right[upper], product.data[upper]


def exact_jaccard(shingles: csr_array) -> Truth:
    """Jaccard similarity of all pairs, kept where at least FLOOR."""
    sizes, codes, similarities = np.diff(shingles.indptr), [], []
    for left, right, common in shared(shingles):
        jaccard = common / (sizes[left] + sizes[right] - common)
        codes.append((left * len(sizes) + right)[jaccard >= FLOOR])
        similarities.append(jaccard[jaccard >= FLOOR])
    order = np.argsort(joined := np.concatenate(codes))
    return Truth(len(sizes), joined[order], np.concatenate(similarities)[order])


def found_pairs(texts: pa.Array[Any], config: Config, seed: int) -> _I64:
    """Codes of the pairs that share the key of a band, ascending."""
    keys = ours(MinHasher(config.bands * config.rows, seed, NGRAM), texts, config.bands, config.rows)
    columns = [
        np.unique(band, return_inverse=True)[1] + band_number * len(keys) for band_number, band in enumerate(keys.T)
    ]
    buckets = incidence(np.tile(np.arange(len(keys)), config.bands), np.concatenate(columns))
    return np.sort(np.concatenate([left * len(keys) + right for left, right, _ in shared(buckets)]))


def kept(num_documents: int, codes: _I64) -> int:
    """Documents that stay when pairs are joined."""
    return len(np.unique(connected_components(num_documents, *np.divmod(codes, num_documents))))


def spread(values: Sequence[float], digits: int) -> str:
    """Mean, least and most over seeds."""
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} .. {max(values):.{digits}f})"


def recall_line(name: str, wanted: _Bool, hits: Sequence[_Bool], chance: _F64) -> str:
    """The share of the wanted pairs that was found."""
    if not wanted.any():
        return f"  recall, {name}: no pairs"
    observed = spread([hit[wanted].mean() for hit in hits], 4)
    return f"  recall, {name}: {observed} of {wanted.sum():,} pairs; theory {chance[wanted].mean():.4f}"


def bin_line(low: float, high: float, inside: _Bool, hits: Sequence[_Bool], chance: _F64) -> str:
    """Found share in a bin of similarity beside theory, and both standard errors of the mean over seeds."""
    expected = chance[inside]
    observed = np.array([hit[inside].mean() for hit in hits])
    binomial = np.sqrt((expected * (1 - expected)).sum() / len(hits)) / len(expected)
    by_seed = f"{observed.std(ddof=1) / len(hits) ** 0.5:.5f}" if len(hits) > 1 else "-"
    name = "J = 1" if low == high else f"{low:.2f} <= J < {high:.2f}"
    means = f"{observed.mean():.5f} | {expected.mean():.5f}"
    return f"  | {name} | {len(expected):,} | {means} | {binomial:.5f} | {by_seed} |"


def report(texts: pa.Array[Any], truth: Truth, config: Config, seeds: Sequence[int]) -> None:
    """Find pairs by each seed and print recall, precision and the collision curve."""
    bands, rows, least = config
    chance = 1 - (1 - truth.jaccard**rows) ** bands
    true, found = truth.jaccard >= least, [found_pairs(texts, config, seed) for seed in seeds]
    hits = [np.isin(truth.codes, codes, assume_unique=True) for codes in found]
    wrong = [len(codes) - int(hit[true].sum()) for codes, hit in zip(found, hits, strict=True)]
    precision = [1 - bad / len(codes) for bad, codes in zip(wrong, found, strict=True)]
    print(f"\n{bands} bands x {rows} rows (curve rises at J = {threshold(bands, rows):.3f}), true from J = {least}")
    print(recall_line(f"J >= {least}", true, hits, chance))
    print(recall_line(f"{least} <= J < 1", true & (truth.jaccard < 1), hits, chance))
    print(f"  precision: {spread(precision, 4)}; found below J = {least}: {spread(wrong, 1)}", end="")
    print(f" of {spread([len(codes) for codes in found], 1)}; theory {chance[~true].sum():.1f}")
    print(f"  found below J = {FLOOR}: {spread([len(c) - int(h.sum()) for c, h in zip(found, hits, strict=True)], 1)}")
    print(f"  kept: {spread([kept(truth.num_documents, codes) for codes in found], 1)}", end="")
    print(f"; by true pairs {kept(truth.num_documents, truth.codes[true]):,}")
    print(
        "\n  | similarity | pairs | found | theory | s.e., binomial | s.e., over seeds |\n  |---|---|---|---|---|---|"
    )
    for low, high in [*pairwise(EDGES), (1.0, 1.0)]:
        inside = (truth.jaccard >= low) & ((truth.jaccard < high) | (low == high))
        if inside.any():
            print(bin_line(low, high, inside, hits, chance))


def recall(path: str, documents: int, seeds: Sequence[int], configs: Sequence[Config]) -> None:
    """Measure all configurations on one sample."""
    sample, num_rows, num_distinct = read_sample(path, documents)
    print(f"{num_rows:,} documents, {num_distinct:,} distinct; {len(sample):,} drawn by path, with words,", end=" ")
    shingles = shingle_matrix(sample)
    truth = exact_jaccard(shingles)
    texts = pa.array(sample, pa.large_binary())
    hasher = MinHasher(1, ngram=NGRAM)
    hashes = sum(len(hasher.shingle_hashes(text)) for text in sample)
    print(f"{sum(map(len, sample)) / 1e6:.1f} MB, {shingles.nnz:,} distinct shingles per document summed up")
    print(f"lost to equal 32-bit hashes within a document: {shingles.nnz - hashes} shingles")
    print(f"{truth.num_documents * (truth.num_documents - 1) // 2:,} pairs, {len(truth.codes):,} of J >= {FLOOR}")
    print(f"seeds {seeds[0]} .. {seeds[-1]}; mean over seeds (least .. most)")
    for config in configs:
        report(texts, truth, config, seeds)


def identity(path: str) -> None:
    """Count the documents whose signature equals datasketch's, with its default seed."""
    for num_perm in IDENTITY_WIDTHS:
        hasher, same, count = MinHasher(num_perm, seed=1, ngram=NGRAM), 0, 0
        for batch in pq.ParquetFile(path).iter_batches(BATCH, columns=["content"]):
            texts = batch.column("content")
            hashes = [hasher.shingle_hashes(text).tolist() for text in as_bytes(texts.cast(pa.large_binary()))]
            theirs = np.stack([sketch.hashvalues for sketch in bulk(hashes, num_perm, int)])
            same += int((hasher.signatures(texts)[0] == theirs).all(axis=1).sum())
            count += len(texts)
        print(f"{num_perm} permutations: {same:,} of {count:,} signatures equal datasketch's")


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", metavar="CORPUS.parquet")
    parser.add_argument("--documents", type=int, default=2000, help="about so many in the sample; 0: all")
    parser.add_argument("--seeds", default="1-5", help="of the permutations: one, or first and last")
    parser.add_argument("--configs", default="14x9@0.7,16x128@0.96,128x16@0.7", help="bands x rows @ least true J")
    parser.add_argument("--identity", action="store_true", help="compare signatures with datasketch's instead")
    arguments = parser.parse_args()
    print(machine())
    if arguments.identity:
        identity(arguments.path)
    else:
        first, _, last = arguments.seeds.partition("-")
        seeds = range(int(first), int(last or first) + 1)
        configs = [Config.parse(text) for text in arguments.configs.split(",")]
        recall(arguments.path, arguments.documents, seeds, configs)


if __name__ == "__main__":
    main()
