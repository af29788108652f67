r"""Words: the one definition that phrases of items and documents are cut by, and the hashes of words and phrases.

The definition, exactly:

* The text is UTF-8. A word is a longest run of ASCII letters, digits and underscores and of characters beyond ASCII
  that are neither SEPARATORS nor IDEOGRAPHS. So ASCII text is cut as by ``\w+``, and so are nearly all letters beyond.
* Each of IDEOGRAPHS (Chinese characters and Japanese kana, which are written without spaces) is a word of its own:
  ten words of Chinese are ten characters. Thai, Lao, Khmer and Burmese are written without spaces too, but not by
  whole syllables: a run of them is one word, and only long copies are found.
* ASCII letters are in lower case; other letters stay as they are.

Both lists are fixed here, so that the result does not depend on Python's version of Unicode. MinHash has another
definition (`runtime.data.minhash`), in which case counts and everything beyond ASCII belongs to words: it looks for
near copies of whole files, this one for pieces that were set in other quotes and dashes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

_U64 = npt.NDArray[np.uint64]

WORD_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
PHRASE_MULTIPLIER = np.uint64(0xD1342543DE82EF95)
SEPARATOR, LETTER, IDEOGRAPH = 0, 1, 2

SEPARATORS: tuple[tuple[int, int], ...] = (
    (0x0080, 0x00A9),  # Latin-1: controls, no-break space, punctuation
    (0x00AB, 0x00B1),
    (0x00B4, 0x00B4),
    (0x00B6, 0x00B8),
    (0x00BB, 0x00BB),
    (0x00BF, 0x00BF),
    (0x00D7, 0x00D7),
    (0x00F7, 0x00F7),
    (0x037E, 0x037E),  # Greek, Hebrew, Arabic and Indian sentences
    (0x0387, 0x0387),
    (0x0589, 0x058A),
    (0x05BE, 0x05BE),
    (0x05C0, 0x05C0),
    (0x05C3, 0x05C3),
    (0x05F3, 0x05F4),
    (0x060C, 0x060D),
    (0x061B, 0x061F),
    (0x06D4, 0x06D4),
    (0x0964, 0x0965),
    (0x2000, 0x206F),  # general punctuation: spaces, dashes, quotes, zero-width marks
    (0x20A0, 0x20CF),  # currencies
    (0x2190, 0x245F),  # arrows, mathematics, technical signs
    (0x2500, 0x2775),  # boxes, shapes, dingbats
    (0x2794, 0x2BFF),
    (0x2E00, 0x2E2E),  # more punctuation
    (0x2E30, 0x2E7F),
    (0x3000, 0x3004),  # Chinese and Japanese punctuation
    (0x3008, 0x3020),
    (0x3030, 0x3030),
    (0x303D, 0x303F),
    (0x30A0, 0x30A0),
    (0x30FB, 0x30FB),
    (0xE000, 0xF8FF),  # private use
    (0xFE10, 0xFE1F),  # forms of punctuation, full-width punctuation
    (0xFE30, 0xFE6F),
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFF01, 0xFF0F),
    (0xFF1A, 0xFF20),
    (0xFF3B, 0xFF3E),
    (0xFF40, 0xFF40),
    (0xFF5B, 0xFF65),
    (0xFFE0, 0xFFFF),
    (0x1F000, 0x1F0FF),  # tiles, cards
    (0x1F200, 0x1FBEF),  # pictures
    (0xF0000, 0x10FFFF),  # private use
)
IDEOGRAPHS: tuple[tuple[int, int], ...] = (
    (0x3005, 0x3007),
    (0x3041, 0x309F),  # kana
    (0x30A1, 0x30FA),
    (0x30FC, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Chinese characters
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


def _listed(*ranges: tuple[int, int]) -> str:
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


_ASCII_SEPARATORS = ((0x00, 0x2F), (0x3A, 0x40), (0x5B, 0x5E), (0x60, 0x60), (0x7B, 0x7F))
_WORD = re.compile(f"[{_listed(*IDEOGRAPHS)}]|[^{_listed(*_ASCII_SEPARATORS, *SEPARATORS, *IDEOGRAPHS)}]+")
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


def words(text: str) -> list[str]:
    """The words of a text, in order.

    >>> words("“Don’t” use Sort_2(x)…")
    ['don', 't', 'use', 'sort_2', 'x']
    >>> words("求和sum。Größe")
    ['求', '和', 'sum', 'größe']
    """
    return [word.translate(_LOWER) for word in _WORD.findall(text)]


@cache
def character_kinds() -> npt.NDArray[np.uint8]:
    """SEPARATOR, LETTER or IDEOGRAPH for every code point: [0x110000]."""
    kinds = np.full(0x110000, LETTER, dtype=np.uint8)
    kinds[:128] = SEPARATOR
    kinds[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")] = LETTER
    for kind, ranges in ((SEPARATOR, SEPARATORS), (IDEOGRAPH, IDEOGRAPHS)):
        for first, last in ranges:
            kinds[first : last + 1] = kind
    kinds.flags.writeable = False
    return kinds


def word_hash(word: str) -> int:
    """Starts at 0 and for each byte becomes (hash ^ byte) * WORD_MULTIPLIER mod 2**64."""
    value = 0
    for byte in word.encode():
        value = (value ^ byte) * int(WORD_MULTIPLIER) & 0xFFFFFFFFFFFFFFFF
    return value


def phrase_hashes(phrases: Sequence[Sequence[str]]) -> _U64:
    """One hash per phrase [n]: over its words hash * PHRASE_MULTIPLIER + word, then `finish` with their number.

    >>> first, second = phrase_hashes([["a", "b"], ["b", "a"]])
    >>> bool(first == second)
    False
    """
    of_words = {word: word_hash(word) for phrase in phrases for word in phrase}
    rolled, multiplier = np.zeros(len(phrases), dtype=np.uint64), int(PHRASE_MULTIPLIER)
    for number, phrase in enumerate(phrases):
        value = 0
        for word in phrase:
            value = (value * multiplier + of_words[word]) & 0xFFFFFFFFFFFFFFFF
        rolled[number] = value
    lengths = np.array([len(phrase) for phrase in phrases], dtype=np.uint64)
    return _finish(rolled, lengths)


def _finish(rolled: _U64, lengths: _U64) -> _U64:
    """MurmurHash3's fmix64 of hash ^ length * WORD_MULTIPLIER; never 0, which stands for an empty slot."""
    value = rolled ^ (lengths * WORD_MULTIPLIER)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    value ^= value >> np.uint64(33)
    return np.where(value == 0, np.uint64(1), value)
