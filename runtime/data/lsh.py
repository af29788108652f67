"""Locality-sensitive hashing of MinHash signatures: the keys of their bands, and what the bands mean.

It is not an index: keys go to Parquet, and DuckDB groups equal keys of a band. The band's number is a column
of its own there, so it does not enter the key.

A signature of bands x rows permutations is cut into `bands` runs of `rows`; two documents are candidates if
any run is equal. At Jaccard similarity J that happens with probability 1 - (1 - J**rows)**bands (Leskovec,
Rajaraman and Ullman, Mining of Massive Datasets, section 3.4).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compiler.errors import UserError
from runtime.data.minhash import TOKEN_MULTIPLIER, compiled


@compiled
def _fold(signatures: npt.NDArray[np.uint32], rows: int, keys: npt.NDArray[np.uint64]) -> None:
    for document in range(keys.shape[0]):
        for band in range(keys.shape[1]):
            key = np.uint64(0)
            for row in range(band * rows, (band + 1) * rows):
                key = (key ^ np.uint64(signatures[document, row])) * TOKEN_MULTIPLIER
                key ^= key >> np.uint64(32)
            keys[document, band] = key


def band_keys(signatures: npt.NDArray[np.uint32], bands: int, rows: int) -> npt.NDArray[np.uint64]:
    """Hash each band of each signature to 64 bits: [n, bands x rows] -> [n, bands].

    A key starts at 0; each row makes it ``(key ^ row) * TOKEN_MULTIPLIER mod 2**64``, then
    ``key ^ (key >> 32)``: bijections, so that bands which differ in one row never collide. Releases the GIL.
    Raises UserError if the signatures are not bands x rows wide.

    >>> band_keys(np.arange(6, dtype=np.uint32).reshape(1, 6), bands=3, rows=2).shape
    (1, 3)
    """
    width = signatures.shape[1]
    if bands < 1 or rows < 1 or bands * rows != width:
        raise UserError(
            f"{bands} bands x {rows} rows over {width} permutations",
            fix="choose bands and rows whose product is the number of permutations",
        )
    keys = np.empty((len(signatures), bands), dtype=np.uint64)
    _fold(np.ascontiguousarray(signatures), rows, keys)
    return keys


def collision_probability(jaccard: float, bands: int, rows: int) -> float:
    """Return the probability that documents of this Jaccard similarity (0 .. 1) share the key of some band.

    >>> round(collision_probability(0.8, bands=14, rows=9), 3)
    0.867
    """
    return float(1.0 - (1.0 - jaccard**rows) ** bands)


def threshold(bands: int, rows: int) -> float:
    """Return the Jaccard similarity around which the collision curve rises: (1 / bands) ** (1 / rows).

    >>> round(threshold(16, 128), 3), round(threshold(128, 16), 3)
    (0.979, 0.738)
    """
    return float((1.0 / bands) ** (1.0 / rows))
