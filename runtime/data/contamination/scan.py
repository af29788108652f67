"""The compiled kernel: places in documents where a phrase's hash turns up. Bytes in, byte offsets out.

It proves nothing: whoever asks compares the words (`search`). Since equal words have equal hashes it misses nothing.
Its memory is that of the table of hashes and of what it finds; it keeps no state between calls or documents.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from runtime.data.contamination.words import (
    IDEOGRAPH,
    LETTER,
    PHRASE_MULTIPLIER,
    SEPARATOR,
    WORD_MULTIPLIER,
    character_kinds,
)
from runtime.data.minhash import compiled
from runtime.data.texts import text_buffers

_Bytes = npt.NDArray[np.uint8]
_I64 = npt.NDArray[np.int64]
_U64 = npt.NDArray[np.uint64]
_Words = tuple[_U64, _I64, _I64, _Bytes]  # hash, start and stop of each word, and the kinds of characters

_BITS_PER_HASH = 32  # of the filter: 1 word in 32 gets past it to the table
_LEAST_BITS = 12
_SPAN = 1024  # words cut at a time, so that they stay in the first-level cache
_FIRST_ROWS = 256


def _lower_case() -> _U64:
    """The byte itself, or that of the lower-case letter: [256]."""
    table = np.arange(256, dtype=np.uint64)
    table[65:91] += np.uint64(32)
    return table


def _word_multipliers() -> _U64:
    """WORD_MULTIPLIER (odd) for a letter of ASCII, 0 for a separator: [128]."""
    return np.where(character_kinds()[:128] == SEPARATOR, np.uint64(0), WORD_MULTIPLIER)


_LOWER = _lower_case()
_MULTIPLIERS = _word_multipliers()


@compiled
def _character(data: _Bytes, position: int, stop: int) -> tuple[int, int]:
    """Code point and width of the character beyond ASCII at `position`; of broken UTF-8, U+FFFD and one byte."""
    first = np.int64(data[position])
    width = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    if first < 0xC2 or first > 0xF4 or position + width > stop:
        return 0xFFFD, 1
    code = first & (0x7F >> width)
    for k in range(1, width):
        byte = np.int64(data[position + k])
        if byte & 0xC0 != 0x80:
            return 0xFFFD, 1
        code = code << 6 | byte & 0x3F
    return (int(code), width) if code <= 0x10FFFF else (0xFFFD, 1)


@compiled
def _is_known(rolled: np.uint64, length: np.uint64, bits: _U64, keys: _U64) -> bool:
    """Whether the phrase hash of `rolled` is in the table: a filter of single bits, then open addressing."""
    value = rolled ^ (length * WORD_MULTIPLIER)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    value ^= value >> np.uint64(33)
    if value == 0:
        value = np.uint64(1)
    bit = value & np.uint64(64 * len(bits) - 1)
    if bits[np.int64(bit >> np.uint64(6))] >> (bit & np.uint64(63)) & np.uint64(1) == 0:
        return False
    slot = np.int64(value >> np.uint64(20)) & (len(keys) - 1)
    while keys[slot] != 0:
        if keys[slot] == value:
            return True
        slot = (slot + 1) & (len(keys) - 1)
    return False


@compiled
def _cut(
    data: _Bytes, place: tuple[int, int], open_word: tuple[np.uint64, np.uint64, int], words: _Words, end: int
) -> tuple[int, tuple[np.uint64, np.uint64, int], int]:
    """Write the words that end in data[place[0]:place[1]] to words[...][end:], as far as they have room.

    `open_word` is one that began before: its hash, WORD_MULTIPLIER or 0 where there is none, and its start. Returns
    how far it came, the word open there, and where the written words end. ASCII is cut without branches on what it
    says: ends of words cannot be predicted.
    """
    hashes, starts, stops, kinds = words
    token, inside, start = open_word
    position, stop = place
    while position < stop and end < len(hashes) - 1:
        byte = data[position]
        if byte < 128:
            multiplier = _MULTIPLIERS[byte]
            start = start if inside != 0 else position
            hashes[end], starts[end], stops[end] = token, start, position
            end += int(inside > multiplier)
            token = (token ^ _LOWER[byte]) * multiplier
            inside = multiplier
            position += 1
            continue
        code, width = _character(data, position, stop)
        kind = kinds[code]
        if inside != 0 and kind != LETTER:
            hashes[end], starts[end], stops[end] = token, start, position
            end, token, inside = end + 1, np.uint64(0), np.uint64(0)
        if kind != SEPARATOR:
            start = start if inside != 0 else position
            inside = WORD_MULTIPLIER
            for k in range(position, position + width):
                token = (token ^ np.uint64(data[k])) * WORD_MULTIPLIER
        position += width
        if kind == IDEOGRAPH:
            hashes[end], starts[end], stops[end] = token, start, position
            end, token, inside = end + 1, np.uint64(0), np.uint64(0)
    return position, (token, inside, start), end


@compiled
def _note(
    words: _Words,
    end: int,
    count: int,
    sizes: tuple[_U64, _U64, _U64],
    known: tuple[_U64, _U64],
    document: int,
    found: _I64,
    rows: int,
) -> tuple[int, _I64]:
    """Roll the phrase hashes on over words[longest:end] and append known ones to found[rows:].

    words[:longest] are those before, `count` of which belong to the document.
    """
    hashes, starts, stops, _ = words
    lengths, leaving, rolling = sizes
    longest = np.int64(lengths[-1])
    for k in range(len(lengths)):
        length, rolled = np.int64(lengths[k]), rolling[k]
        first = max(longest, longest + length - 1 - count)
        for word in range(longest, end):
            rolled = rolled * PHRASE_MULTIPLIER + (hashes[word] - hashes[word - length] * leaving[k])
            if _is_known(rolled, lengths[k], known[0], known[1]) and word >= first:
                if rows == len(found):
                    longer = np.empty((2 * rows, 3), dtype=np.int64)
                    for row in range(rows):
                        longer[row, 0], longer[row, 1], longer[row, 2] = found[row, 0], found[row, 1], found[row, 2]
                    found = longer
                found[rows, 0], found[rows, 1], found[rows, 2] = document, starts[word - length + 1], stops[word]
                rows += 1
        rolling[k] = rolled
    return rows, found


@compiled
def _scan(data: _Bytes, bounds: _I64, kinds: _Bytes, lengths: _U64, leaving: _U64, known: tuple[_U64, _U64]) -> _I64:
    """Rows of document, start and stop, in the order of the documents."""
    longest: Any = np.int64(lengths[-1])  # not int(): numba would make a float of its sum with a signed number
    rolling = np.zeros(len(lengths), dtype=np.uint64)
    hashes = np.zeros(longest + _SPAN, dtype=np.uint64)
    starts, stops = np.zeros(len(hashes), dtype=np.int64), np.zeros(len(hashes), dtype=np.int64)
    words = (hashes, starts, stops, kinds)
    found, rows = np.empty((_FIRST_ROWS, 3), dtype=np.int64), 0
    for document in range(bounds.shape[1]):
        # Loops here and below, since assigning to slices doubles the time that numba takes to compile.
        for k in range(len(rolling)):
            rolling[k] = np.uint64(0)
        for i in range(longest):
            hashes[i] = np.uint64(0)
        open_word, count = (np.uint64(0), np.uint64(0), 0), 0
        position, stop = int(bounds[0, document]), int(bounds[1, document])
        while position < stop:
            position, open_word, end = _cut(data, (position, stop), open_word, words, longest)
            if position == stop and open_word[1] != 0:
                hashes[end], starts[end], stops[end] = open_word[0], open_word[2], stop
                end += 1
            rows, found = _note(words, end, count, (lengths, leaving, rolling), known, document, found, rows)
            count += end - longest
            for i in range(longest):
                hashes[i], starts[i] = hashes[end - longest + i], starts[end - longest + i]
    return found[:rows]


class PhraseScanner:
    """Finds where phrases of given lengths and hashes may stand in texts.

    >>> from runtime.data.contamination.words import phrase_hashes
    >>> scanner = PhraseScanner([2], phrase_hashes([["b", "c"]]))
    >>> scanner.scan(pa.array(["a B, c", "b", "c"])).tolist()
    [[0, 2, 6]]
    """

    def __init__(self, lengths: list[int], hashes: _U64) -> None:
        """`lengths`: the numbers of words that phrases have; `hashes` as `phrase_hashes` makes them [n]."""
        self._lengths = np.array(sorted(lengths), dtype=np.uint64)
        multiplier = int(PHRASE_MULTIPLIER)
        self._leaving = np.array([pow(multiplier, int(n), 1 << 64) for n in self._lengths], dtype=np.uint64)
        self._kinds = character_kinds()
        self._known = _table(np.unique(hashes))

    def scan(self, texts: pa.Array[Any]) -> _I64:
        """Document (its index), first byte and last byte + 1 within its UTF-8 text of every candidate: [k, 3].

        By document, start and stop. Releases the GIL.
        """
        data, bounds = text_buffers(texts)
        if not len(self._lengths):
            return np.zeros((0, 3), dtype=np.int64)
        found = _scan(data, bounds, self._kinds, self._lengths, self._leaving, self._known)
        found[:, 1:] -= bounds[0, found[:, 0]][:, None]
        return found[np.lexsort((found[:, 2], found[:, 1], found[:, 0]))]


def _table(hashes: _U64) -> tuple[_U64, _U64]:
    """A filter of one bit per hash, and an open-addressed table that is at most half full, 0 for an empty slot."""
    size = max(len(hashes), 1)
    bits = np.zeros(1 << max(_LEAST_BITS, (_BITS_PER_HASH * size - 1).bit_length()) - 6, dtype=np.uint64)
    keys = np.zeros(1 << (2 * size).bit_length(), dtype=np.uint64)
    _fill(hashes, bits, keys)
    return bits, keys


@compiled
def _fill(hashes: _U64, bits: _U64, keys: _U64) -> None:
    for value in hashes:
        bit = value & np.uint64(64 * len(bits) - 1)
        bits[np.int64(bit >> np.uint64(6))] |= np.uint64(1) << (bit & np.uint64(63))
        slot = np.int64(value >> np.uint64(20)) & (len(keys) - 1)
        while keys[slot] != 0:
            slot = (slot + 1) & (len(keys) - 1)
        keys[slot] = value
