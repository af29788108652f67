"""Signals of string literals: data and prose that stand in a program."""

from __future__ import annotations

import re

from runtime.data.signals.document import Document, characters, ratio
from runtime.data.treesitter import Span

LONG_STRING_WORDS = 20
LONG_WORD = 20

_LONG_WORD = re.compile(rb"[^\s\"'`]{%d,}+" % (LONG_WORD + 1))
# With a scheme, or a host with a dot and a path, as in Go's imports.
_URL = re.compile(rb"^[A-Za-z0-9-]+\.[A-Za-z0-9.-]++/|://|www\.")


def _literals(document: Document, least: int) -> list[bytes]:
    """String literals of at least so many bytes, with their quotes."""
    spans: tuple[Span, ...] = document.strings
    return [document.raw[start:end] for start, end in spans if end - start >= least]


def frac_lines_long_string(document: Document) -> float | None:
    """Lines in string literals with more than 20 words, parted by white space, over code lines; at most 1."""
    literals = (literal.strip(b"\"'`") for literal in _literals(document, 2 * LONG_STRING_WORDS))
    long = sum(len(line.split()) > LONG_STRING_WORDS for literal in literals for line in literal.split(b"\n"))
    return ratio(min(long, len(document.code_lines)), len(document.code_lines))


def frac_chars_string_length(document: Document) -> float | None:
    """Characters in string literals, quotes counted, over characters of the code."""
    return _share(document, characters(b"".join(_literals(document, 0))))


def frac_chars_long_word_length(document: Document) -> float | None:
    """Characters of words longer than 20 in string literals, URLs left out, over characters of the code."""
    found = _LONG_WORD.findall(b"\n".join(_literals(document, LONG_WORD)))
    long = (word for word in found if not _URL.search(word))
    lengths = (characters(word) for word in long)
    return _share(document, sum(length for length in lengths if length > LONG_WORD))


def _share(document: Document, chars: int) -> float | None:
    """Over the code; at most 1, for a string may hold a comment, in what it interpolates, which the code lacks."""
    whole = characters(document.code)
    return ratio(min(chars, whole), whole)
