"""Repetition of words in one text: counts, the commonest n-gram and the n-grams that come twice, in one go.

It knows nothing of rules, and nothing of what a word is beyond this: words are runs of bytes other than the
space, in UTF-8, and a word's length is its characters. Who calls it says what a word is.

How it works. Words are numbered in the order of their first occurrence. An n-gram is the pair of the (n-1)-grams
that begin at its first and at its second word, so that its key is two numbers in 64 bits and equal keys are equal
n-grams, without chance. (Words themselves are told apart by 64-bit hashes.) Only an n-gram both of whose halves
occur twice can occur twice, so that each level looks at what the one below left: on real text, little.

Time is linear in the text; working memory is at most some 30 bytes for each byte of it.
"""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from runtime.data.minhash import compiled

TOP = (2, 3, 4)
DUPLICATE = (5, 6, 7, 8, 9, 10)
_LONGEST = DUPLICATE[-1]

_SPACE = np.uint8(32)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

_Bytes = npt.NDArray[np.uint8]
_I32 = npt.NDArray[np.int32]
_U64 = npt.NDArray[np.uint64]
_F64 = npt.NDArray[np.float64]


@attrs.frozen(kw_only=True)
class Repetition:
    """What `repetition` counts. Shares are of `chars`, in [0, 1].

    `chars` are the characters of all words. `entropy` is that of the words' frequencies, in nats, to 8 decimals.
    `top[n]` is the share of the commonest n-gram: its characters times how often it occurs, overlaps counted
    again, at most 1; 0 if none occurs twice; of equally common ones, the first. `duplicate[n]` is the share of
    the characters that lie in any n-gram that occurs twice, all its copies, each character counted once.
    """

    words: int
    distinct: int
    chars: int
    entropy: float
    top: dict[int, float]
    duplicate: dict[int, float]


@compiled
def _mix(key: np.uint64) -> np.uint64:
    key ^= key >> np.uint64(32)
    key *= np.uint64(0xD6E8FEB86659FD93)
    return key ^ (key >> np.uint64(32))


@compiled
def _split(text: _Bytes, keys: _U64, ends: _I32) -> int:
    """Hash every word to keys[i]; ends[i + 1] is the number of characters in words up to it. Returns the words."""
    words, chars, inside = 0, 0, False
    key = np.uint64(0)
    for position in range(len(text)):
        byte = text[position]
        if byte == _SPACE:
            if inside:
                keys[words] = key
                words += 1
                ends[words] = chars
            inside = False
        else:
            key = (key if inside else np.uint64(0)) ^ np.uint64(byte)
            key = (key ^ (key >> np.uint64(29))) * _MULTIPLIER
            chars += int((byte & np.uint8(0xC0)) != np.uint8(0x80))
            inside = True
    if inside:
        keys[words] = key
        words += 1
        ends[words] = chars
    return words


@compiled
def _number(keys: _U64, ids: _I32, size: int, counts: _I32) -> int:
    """Give equal keys[i] equal numbers ids[i], from 0 in order of occurrence, where ids[i] >= 0; return how many.

    `size` is the number of such i, and counts[id] becomes the number of occurrences. Open addressing in a table
    that is at most half full.
    """
    slots = 16
    while slots < 2 * size:
        slots *= 2
    table = np.empty(slots, dtype=np.uint64)
    owner = np.full(slots, -1, dtype=np.int32)
    distinct = 0
    for i in range(len(keys)):
        if ids[i] < 0:
            continue
        key = keys[i]
        slot = np.int64(_mix(key)) & (slots - 1)
        while owner[slot] >= 0 and table[slot] != key:
            slot = (slot + 1) & (slots - 1)
        if owner[slot] < 0:
            owner[slot] = distinct
            table[slot] = key
            counts[distinct] = 0
            distinct += 1
        ids[i] = owner[slot]
        counts[ids[i]] += 1
    return distinct


@compiled
def _pair(ids: _I32, counts: _I32, keys: _U64) -> int:
    """Turn the ids of (n-1)-grams to keys of n-grams, ids[i] = -1 for those that can't occur twice; return the rest."""
    left = 0
    for i in range(len(ids)):
        if ids[i] >= 0 and counts[ids[i]] < 2:
            ids[i] = -1
    for i in range(len(ids)):
        if i + 1 < len(ids) and ids[i] >= 0 and ids[i + 1] >= 0:
            keys[i] = (np.uint64(ids[i]) << np.uint64(32)) | np.uint64(ids[i + 1])
            left += 1
        else:
            ids[i] = -1
    return left


@compiled
def _top(ids: _I32, counts: _I32, distinct: int, ends: _I32, n: int) -> float:
    """Characters of the commonest n-gram times its occurrences; 0 if none occurs twice."""
    best, most = -1, 1
    for number in range(distinct):
        if counts[number] > most:
            best, most = number, counts[number]
    if best < 0:
        return 0.0
    for i in range(len(ids)):
        if ids[i] == best:
            return float(np.int64(ends[i + n] - ends[i]) * np.int64(most))
    return 0.0


@compiled
def _covered(ids: _I32, counts: _I32, ends: _I32, n: int) -> float:
    """Characters in n-grams that occur twice or more, each counted once."""
    chars, reached = 0, 0
    for i in range(len(ids)):
        if ids[i] >= 0 and counts[ids[i]] > 1:
            chars += ends[i + n] - ends[max(i, reached)]
            reached = i + n
    return float(chars)


@compiled
def _measure(text: _Bytes, top: _F64, covered: _F64) -> tuple[int, int, int, float]:
    """Fill top[n] and covered[n], in characters; return words, distinct words, characters and the entropy."""
    keys = np.empty(len(text) // 2 + 1, dtype=np.uint64)
    ends = np.zeros(len(text) // 2 + 2, dtype=np.int32)
    words = _split(text, keys, ends)
    ids = np.zeros(words, dtype=np.int32)
    counts = np.empty(words, dtype=np.int32)
    keys = keys[:words]
    distinct = _number(keys, ids, words, counts)
    entropy = 0.0
    for number in range(distinct):
        share = counts[number] / words
        entropy -= share * np.log(share)
    for n in range(2, len(top)):
        left = _pair(ids, counts, keys)
        if left == 0:
            break
        grams = _number(keys, ids, left, counts)
        top[n] = _top(ids, counts, grams, ends, n)
        covered[n] = _covered(ids, counts, ends, n)
    return words, distinct, int(ends[words]), entropy


def repetition(text: bytes) -> Repetition:
    """Measure the words of `text`, which single or several spaces part.

    >>> found = repetition(b"a bc a bc d")
    >>> found.words, found.distinct, found.chars, round(found.entropy, 3)
    (5, 3, 7, 1.055)
    >>> found.top[2] == 2 * 3 / 7, found.top[3], found.duplicate[5]
    (True, 0.0, 0.0)
    """
    top, covered = np.zeros(_LONGEST + 1), np.zeros(_LONGEST + 1)
    words, distinct, chars, entropy = _measure(np.frombuffer(text, dtype=np.uint8), top, covered)
    whole = max(chars, 1)
    return Repetition(
        words=words,
        distinct=distinct,
        chars=chars,
        entropy=round(max(entropy, 0.0), 8),  # the last bits of a logarithm differ between machines
        top={n: min(float(top[n]) / whole, 1.0) for n in TOP},
        duplicate={n: float(covered[n]) / whole for n in DUPLICATE},
    )
