"""A byte n-gram language model: the yardstick that a trained model must beat on bits per byte.

Not a model to use: it stands for what local statistics alone give. Interpolated modified Kneser-Ney (Chen &
Goodman 1998, "An Empirical Study of Smoothing Techniques for Language Modeling", section 3), over the 256
bytes and an end symbol that also stands before the first byte of a document, as an end-of-text token does for
a language model. The lowest order is interpolated with the uniform distribution, so every document has finite
bits.

An n-gram is one uint64 of 9 bits per symbol, the oldest symbol highest: sorting puts n-grams of one context
next to each other, and the context of a key is the key shifted right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs
import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

END = 256
SYMBOLS = 257
BITS = np.uint64(9)
MAX_ORDER = 7  # of 9 bits in a uint64
CHUNK_BYTES = 8_000_000  # n-grams counted at a time: bounds the memory of training


@attrs.frozen(eq=False)
class Level:
    """One order: probabilities of the n-grams seen, back-off weights of the contexts seen; keys sorted."""

    ngrams: Keys
    probabilities: Floats
    contexts: Keys
    backoffs: Floats


@attrs.frozen(eq=False)
class ByteNGram:
    """The trained model; make one with `ByteNGram.train`."""

    levels: tuple[Level, ...]

    @classmethod
    def train(cls, data: Iterable[bytes], order: int = 5) -> ByteNGram:
        """Count `data`, one document per item, and estimate; the order of documents does not matter.

        Memory is that of the distinct n-grams (about 100 bytes each) and of a chunk of `CHUNK_BYTES`.
        Raises ValueError for an order outside 1 .. 7 and where there is no document.
        """
        if not 1 <= order <= MAX_ORDER:
            raise ValueError(f"order is 1 to {MAX_ORDER}, not {order}")
        ngrams, counts = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
        for chunk in _chunks(data):
            keys, times = np.unique(_windows(chunk, order), return_counts=True)
            ngrams, counts = _sum_by_key(np.concatenate([ngrams, keys]), np.concatenate([counts, times]))
        if not len(ngrams):
            raise ValueError("an n-gram model needs at least one document")
        tables = [(ngrams, counts)]
        for length in range(order - 1, 0, -1):
            suffixes = tables[-1][0] & _mask(length)
            tables.append(np.unique(suffixes, return_counts=True))
        levels: list[Level] = []
        for keys, times in reversed(tables):
            levels.append(_estimate(keys, times, levels))
        return cls(tuple(levels))

    def bits(self, document: bytes) -> float:
        """-log2 of the probability of `document` and its end, given that a document begins."""
        keys = _windows([document], len(self.levels))
        return float(-np.log2(self._probabilities(keys)).sum())

    def distribution(self, context: bytes) -> Floats:
        """Probability of each byte and of the end (257 in all) after `context` at the start of a document."""
        order = len(self.levels)
        history = _padded(context, order)[len(context) : -1].astype(np.uint64)
        key = np.uint64(0)
        for symbol in history:
            key = key << BITS | symbol
        return self._probabilities((key << BITS) | np.arange(SYMBOLS, dtype=np.uint64))

    def _probabilities(self, keys: Keys) -> Floats:
        """Of each n-gram of full order: that of its longest suffix seen, times the back-offs on the way."""
        weights = np.ones(len(keys))
        pending = np.arange(len(keys))
        for length in range(len(self.levels), 0, -1):
            level, suffixes = self.levels[length - 1], keys[pending] & _mask(length)
            at, seen = _find(level.ngrams, suffixes)
            weights[pending[seen]] *= level.probabilities[at[seen]]
            pending, suffixes = pending[~seen], suffixes[~seen]
            at, seen = _find(level.contexts, suffixes >> BITS)
            weights[pending[seen]] *= level.backoffs[at[seen]]
        weights[pending] /= SYMBOLS
        return weights


def _estimate(ngrams: Keys, counts: Counts, lower: list[Level]) -> Level:
    """Interpolated modified Kneser-Ney for the order above `lower`, from its n-grams and their counts."""
    discounts = _discounts(counts)
    contexts, first = np.unique(ngrams >> BITS, return_index=True)
    totals = np.add.reduceat(counts, first)
    taken = discounts[np.minimum(counts, 3)]
    backoffs = np.add.reduceat(taken, first) / totals
    lengths = np.diff(np.append(first, len(ngrams)))
    below = np.full(len(ngrams), 1 / SYMBOLS)
    if lower:  # the suffix of a seen n-gram is itself seen one order down
        below = lower[-1].probabilities[np.searchsorted(lower[-1].ngrams, ngrams & _mask(len(lower)))]
    probabilities = (counts - taken) / np.repeat(totals, lengths) + np.repeat(backoffs, lengths) * below
    return Level(ngrams, probabilities, contexts, backoffs)


def _discounts(counts: Counts) -> Floats:
    """What is taken from n-grams seen 0, 1, 2 and 3 or more times (Chen & Goodman 1998, equation 26).

    Few symbols leave some counts of counts at zero, most of all in low orders; then 1/2, 1 and 3/2 are taken.

    >>> _discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4])).round(3).tolist()
    [0.0, 0.5, 1.25, 1.0]
    >>> _discounts(np.array([7, 9])).tolist()
    [0.0, 0.5, 1.0, 1.5]
    """
    n1, n2, n3, n4 = (int((counts == times).sum()) for times in (1, 2, 3, 4))
    fallback = np.array([0, 0.5, 1, 1.5])
    if not (n1 and n2 and n3 and n4):
        return fallback
    y = n1 / (n1 + 2 * n2)
    estimated = np.array([0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    return estimated if (estimated >= 0).all() else fallback


def _chunks(documents: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Lists of whole documents of at least `CHUNK_BYTES` each, the last one excepted."""
    chunk: list[bytes] = []
    size = 0
    for document in documents:
        chunk.append(document)
        size += len(document)
        if size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _padded(document: bytes, order: int) -> npt.NDArray[np.uint16]:
    """`order` - 1 ends, the document, and an end."""
    symbols = np.full(len(document) + order, END, dtype=np.uint16)
    symbols[order - 1 : -1] = np.frombuffer(document, dtype=np.uint8)
    return symbols


def _windows(documents: list[bytes], order: int) -> Keys:
    """The n-gram that ends at each byte and at the end of each document; none spans two documents."""
    symbols = np.concatenate([_padded(document, order) for document in documents])
    ends = np.cumsum([len(document) + order for document in documents])
    keys = np.zeros(len(symbols) - order + 1, dtype=np.uint64)
    for offset in range(order):
        keys <<= BITS
        keys |= symbols[offset : offset + len(keys)]
    inside = np.ones(len(keys), dtype=bool)
    for offset in range(order - 1):
        inside[ends[:-1] - 1 - offset] = False
    return keys[inside]


def _sum_by_key(keys: Keys, counts: Counts) -> tuple[Keys, Counts]:
    order = np.argsort(keys, kind="stable")
    unique, first = np.unique(keys[order], return_index=True)
    return unique, np.add.reduceat(counts[order], first)


def _find(table: Keys, keys: Keys) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Where each key is in a sorted table, and whether it is there."""
    at = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return at, table[at] == keys


def _mask(length: int) -> np.uint64:
    """The bits of the last `length` symbols of a key."""
    return np.uint64((1 << length * int(BITS)) - 1)
