r"""MinHash signatures of the n-grams of texts, of words or characters, by a compiled kernel over Arrow buffers.

It is not an index and finds no duplicates: `lsh` makes band keys of signatures, DuckDB groups them,
`components` joins the groups. It keeps no state between calls, and its working memory (half a megabyte)
does not grow with the length of a document.

The definitions, exactly (the tests hold a plain Python twin of them):

* A token is a maximal run of word bytes of the UTF-8 text: ``A-Z a-z 0-9 _`` and every byte >= 0x80. So ASCII
  text splits at ``\W+``, and any non-ASCII character, letter or not, belongs to a word. Case is kept.
  With ``unit="character"`` every character is a token, blanks included: a byte of UTF-8 that is no continuation
  byte (``0x80 .. 0xBF``), and those that follow it; a text's first byte begins a token in any case.
* A token's hash starts at 0 and for each byte becomes ``(hash ^ byte) * TOKEN_MULTIPLIER mod 2**64``.
* A shingle is `ngram` consecutive tokens; a document with fewer tokens, but some, is one shingle of them all.
  Its hash starts at 0 and for each token becomes ``hash * NGRAM_MULTIPLIER + token mod 2**64``; then it is
  finished by MurmurHash3's fmix64, and the upper 32 bits are kept.
* The signature of a set of shingle hashes is that of ``datasketch.MinHash(num_perm, seed, scheme="affine32",
  hashfunc=lambda h: h)``, bit for bit: for each permutation (a, b), a odd, the least
  ``a * fmix32(hash) + b mod 2**32``.

A text without tokens (or null) has no shingles: its count is 0 and its signature all ones, the neutral
element of the union. It resembles nothing: leave it out before signatures are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from compiler.errors import UserError
from runtime.data.texts import text_buffers

TOKEN_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
NGRAM_MULTIPLIER = np.uint64(0xD1342543DE82EF95)
EMPTY = np.uint32(0xFFFFFFFF)

_SPAN = 4096  # bytes tokenised at a time, so that tokens and shingles stay in the first-level cache
_SEEN_SLOTS = 1 << 15  # shingles remembered to skip repeats; forgetting one costs work, not correctness
_UNROLL = 8  # shingles per sweep over the permutations: 8 broadcasts leave AVX2 half of its 16 registers
_LANES = 16  # permutations are padded to whole AVX-512 vectors, so that a sweep has no scalar tail

_Bytes = npt.NDArray[np.uint8]
_I64 = npt.NDArray[np.int64]
_U32 = npt.NDArray[np.uint32]
_U64 = npt.NDArray[np.uint64]
_Function = TypeVar("_Function", bound=Callable[..., object])


def compiled(function: _Function) -> _Function:
    """Compile `function` by numba, without the GIL, cached on disk where numba may write.

    numba tries NUMBA_CACHE_DIR, the source's __pycache__ and the user's cache directory, and raises if all
    are read-only, as in a container. Each process then compiles for itself: in a shared temporary directory
    another user could plant code.
    """
    try:
        kernel = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        kernel = numba.njit(nogil=True)(function)
    return cast("_Function", kernel)


def _word_multipliers() -> _U64:
    """TOKEN_MULTIPLIER (odd) for a word byte, 0 for a separator: [256]."""
    multipliers = np.zeros(256, dtype=np.uint64)
    multipliers[128:] = TOKEN_MULTIPLIER
    words = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
    multipliers[list(words)] = TOKEN_MULTIPLIER
    return multipliers


_MULTIPLIERS = _word_multipliers()
IS_WORD = _MULTIPLIERS != 0
"""Whether a byte belongs to a word: [256]."""


@compiled
def _fmix64(value: np.uint64) -> np.uint64:
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@compiled
def _fmix32(value: np.uint32) -> np.uint32:
    # The casts are for numba, which widens uint32 arithmetic to 64 bits.
    value = np.uint32(value ^ (value >> np.uint32(16)))
    value = np.uint32(value * np.uint32(0x85EBCA6B))
    value = np.uint32(value ^ (value >> np.uint32(13)))
    value = np.uint32(value * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))


@compiled
def _tokenise(
    text: _Bytes, token: np.uint64, inside: np.uint64, tokens: _U64, ngram: int
) -> tuple[np.uint64, np.uint64, int]:
    """Write the hashes of the tokens that end in `text` to tokens[ngram:].

    `token` is the hash of the token that is open at the start, and `inside` is nonzero if one is. Returns
    both for the end, and where the written tokens end. Free of branches: word ends cannot be predicted.
    """
    end = ngram
    for position in range(len(text)):
        byte = np.uint64(text[position])
        multiplier = _MULTIPLIERS[byte]
        tokens[end] = token
        end += int(inside > multiplier)
        token = (token ^ byte) * multiplier
        inside = multiplier
    return token, inside, end


@compiled
def _tokenise_characters(
    text: _Bytes, token: np.uint64, inside: np.uint64, tokens: _U64, ngram: int
) -> tuple[np.uint64, np.uint64, int]:
    """The same for characters; after the first byte a token is always open."""
    end = ngram
    for position in range(len(text)):
        byte = np.uint64(text[position])
        begins = np.uint64((byte & np.uint64(0xC0)) != np.uint64(0x80))
        tokens[end] = token
        end += int(begins & inside)
        token = ((token * (np.uint64(1) - begins)) ^ byte) * TOKEN_MULTIPLIER
        inside = np.uint64(1)
    return token, inside, end


@compiled
def _shingle(tokens: _U64, ngram: int, rolling: np.uint64, shingles: _U32) -> np.uint64:
    """Roll the n-gram hash on over tokens[ngram:], one shingle each; tokens[:ngram] are those before."""
    leaving = np.uint64(1)
    for _ in range(ngram):
        leaving *= NGRAM_MULTIPLIER
    for position in range(ngram, len(tokens)):
        rolling = rolling * NGRAM_MULTIPLIER + (tokens[position] - tokens[position - ngram] * leaving)
        shingles[position - ngram] = np.uint32(_fmix64(rolling) >> np.uint64(32))
    return rolling


@compiled
def _unseen(shingles: _U32, start: int, stop: int, seen: _U64, document: int) -> int:
    """Move to the front those of shingles[start:stop] not yet seen in `document`; return how many."""
    kept = 0
    for position in range(start, stop):
        shingle = shingles[position]
        slot = np.int64(shingle) & (_SEEN_SLOTS - 1)
        key = (np.uint64(document + 1) << np.uint64(32)) | np.uint64(shingle)
        shingles[kept] = shingle
        kept += int(seen[slot] != key)
        seen[slot] = key
    return kept


@compiled
def _lower(signature: _U32, shingles: _U32, count: int, permutations: _U32) -> None:
    """Lower each element of the signature to the least permuted hash of shingles[:count], count > 0."""
    a, b = permutations[0], permutations[1]
    for i in range(count):
        shingles[i] = _fmix32(shingles[i])
    for i in range(count, count + _UNROLL - 1):
        shingles[i] = shingles[count - 1]
    for i in range(0, count, _UNROLL):
        h0, h1, h2, h3 = shingles[i], shingles[i + 1], shingles[i + 2], shingles[i + 3]
        h4, h5, h6, h7 = shingles[i + 4], shingles[i + 5], shingles[i + 6], shingles[i + 7]
        for k in range(len(signature)):
            x, y = a[k], b[k]
            low = min(signature[k], np.uint32(x * h0 + y))
            low = min(low, np.uint32(x * h1 + y))
            low = min(low, np.uint32(x * h2 + y))
            low = min(low, np.uint32(x * h3 + y))
            low = min(low, np.uint32(x * h4 + y))
            low = min(low, np.uint32(x * h5 + y))
            low = min(low, np.uint32(x * h6 + y))
            signature[k] = min(low, np.uint32(x * h7 + y))


@compiled
def _sign(
    data: _Bytes, bounds: _I64, ngram: int, characters: bool, permutations: _U32, signatures: _U32
) -> npt.NDArray[np.int32]:
    """Fill `signatures` [n, num_perm] for texts data[bounds[0, i]:bounds[1, i]]; return shingle counts."""
    tokens = np.zeros(ngram + _SPAN + 1, dtype=np.uint64)  # a token open before the span may end in it too
    shingles = np.empty(_SPAN + 1 + _UNROLL, dtype=np.uint32)
    seen = np.zeros(_SEEN_SLOTS, dtype=np.uint64)
    signature = np.empty(permutations.shape[1], dtype=np.uint32)
    counts = np.zeros(bounds.shape[1], dtype=np.int32)
    for document in range(bounds.shape[1]):
        # Loops here and below, since assigning to slices doubles the time that numba takes to compile.
        for k in range(len(signature)):
            signature[k] = EMPTY
        for i in range(ngram):
            tokens[i] = 0
        token, inside, rolling, total = np.uint64(0), np.uint64(0), np.uint64(0), 0
        last = bounds[1, document]
        for start in range(bounds[0, document], last, _SPAN):
            stop = min(start + _SPAN, last)
            if characters:
                token, inside, end = _tokenise_characters(data[start:stop], token, inside, tokens, ngram)
            else:
                token, inside, end = _tokenise(data[start:stop], token, inside, tokens, ngram)
            if stop == last and inside != 0:
                tokens[end] = token
                end += 1
            rolling = _shingle(tokens[:end], ngram, rolling, shingles)
            # The first ngram - 1 hashes of a document are those of shorter prefixes.
            fresh = _unseen(shingles, max(ngram - 1 - total, 0), end - ngram, seen, document)
            total += end - ngram
            if stop == last and 0 < total < ngram:
                shingles[0] = np.uint32(_fmix64(rolling) >> np.uint64(32))
                fresh = 1
            if fresh > 0:
                _lower(signature, shingles, fresh, permutations)
            for i in range(ngram):
                tokens[i] = tokens[end - ngram + i]
        counts[document] = max(total - ngram + 1, min(total, 1))
        for k in range(signatures.shape[1]):
            signatures[document, k] = signature[k]
    return counts


@compiled
def _all_shingles(text: _Bytes, ngram: int, characters: bool) -> _U32:
    """Hash the shingles of one text, in order and with repeats."""
    tokens = np.zeros(ngram + len(text) + 1, dtype=np.uint64)
    if characters:
        token, inside, end = _tokenise_characters(text, np.uint64(0), np.uint64(0), tokens, ngram)
    else:
        token, inside, end = _tokenise(text, np.uint64(0), np.uint64(0), tokens, ngram)
    if inside != 0:
        tokens[end] = token
        end += 1
    shingles = np.empty(end - ngram, dtype=np.uint32)
    _shingle(tokens[:end], ngram, np.uint64(0), shingles)
    return shingles[max(min(ngram, len(shingles)) - 1, 0) :]


def affine32_permutations(num_perm: int, seed: int) -> _U32:
    """Draw permutations h -> a * h + b mod 2**32 as datasketch 2 does: rows a (odd) and b, [2, num_perm]."""
    generator = np.random.RandomState(seed)
    a = generator.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    b = generator.randint(0, 1 << 32, num_perm, dtype=np.uint32)
    return np.stack([a, b])


class MinHasher:
    """Signs texts by `num_perm` permutations of their n-grams of `unit`s; equal arguments give equal signatures.

    Raises UserError for `num_perm` or `ngram` outside 1 .. 65536, or `seed` outside 0 .. 2**32 - 1.

    >>> texts = pa.array(["def f(x): return x + 1", "def f(x): return x + 2", "// --"])
    >>> signatures, num_shingles = MinHasher(num_perm=4).signatures(texts)
    >>> signatures.shape, num_shingles.tolist()
    ((3, 4), [2, 2, 0])
    """

    def __init__(
        self, num_perm: int, seed: int = 1, ngram: int = 5, unit: Literal["word", "character"] = "word"
    ) -> None:
        for name, value, least, most in (
            ("num_perm", num_perm, 1, 1 << 16),
            ("ngram", ngram, 1, 1 << 16),
            ("seed", seed, 0, (1 << 32) - 1),
        ):
            if not least <= value <= most:
                raise UserError(f"MinHash with {name} = {value}", fix=f"choose {name} in {least} .. {most}")
        self.num_perm = num_perm
        self.seed = seed
        self.ngram = ngram
        self.unit = unit
        self._permutations = np.pad(affine32_permutations(num_perm, seed), ((0, 0), (0, -num_perm % _LANES)))

    def signatures(self, texts: pa.Array[Any]) -> tuple[_U32, npt.NDArray[np.int32]]:
        """Sign an Arrow array of n texts: [n, num_perm], and how many shingles each has, repeats counted [n].

        Takes (large_)string and (large_)binary, slices and nulls included. Releases the GIL. Raises UserError
        for an array of another type.
        """
        data, bounds = text_buffers(texts)
        signatures = np.empty((len(texts), self.num_perm), dtype=np.uint32)
        return signatures, _sign(data, bounds, self.ngram, self.unit == "character", self._permutations, signatures)

    def shingle_hashes(self, text: str | bytes) -> _U32:
        """Hash the distinct shingles of one text, sorted: the set whose Jaccard index signatures estimate.

        >>> MinHasher(num_perm=1, ngram=2).shingle_hashes("a b, a b").size  # a b; b a
        2
        """
        data = np.frombuffer(text.encode() if isinstance(text, str) else text, dtype=np.uint8)
        return np.unique(_all_shingles(data, self.ngram, self.unit == "character"))


def merge_signatures(signatures: _U32, group_ids: _I64) -> tuple[_I64, _U32]:
    """Sign unions of documents: the distinct `group_ids`, sorted [g], and elementwise minima [g, num_perm].

    A repository's signature is that of the union of its files' shingles; merging merged parts gives the same.

    >>> merge_signatures(np.array([[5, 1], [3, 9], [4, 4]], dtype=np.uint32), np.array([7, 7, 2]))
    (array([2, 7]), array([[4, 4],
           [3, 1]], dtype=uint32))
    """
    groups, group_of = np.unique(group_ids, return_inverse=True)
    merged = np.full((len(groups), signatures.shape[1]), EMPTY, dtype=np.uint32)
    for group, signature in zip(group_of, signatures, strict=True):
        np.minimum(merged[group], signature, out=merged[group])
    return groups, merged
