"""Signals of size and composition: how long a document is, and of which characters and words it is made."""

from __future__ import annotations

from runtime.data.signals.document import Document, ratio

_NOT_DIGITS = bytes(code for code in range(256) if not (code < 128 and chr(code).isdigit()))


def size_file_byte(document: Document) -> float:
    """Bytes in UTF-8."""
    return len(document.raw)


def num_chars(document: Document) -> float:
    """Characters."""
    return len(document.text)


def num_lines(document: Document) -> float:
    """Lines."""
    return len(document.lines)


def num_chars_line_max(document: Document) -> float:
    """Characters of the longest line, its newline counted."""
    longest = max(map(len, document.lines), default=0)
    return min(longest + 1, len(document.text))


def num_chars_line_mean(document: Document) -> float | None:
    """Characters a line, newlines counted."""
    return ratio(len(document.text), len(document.lines))


def num_words(document: Document) -> float:
    """Runs of letters and digits; in Chinese, words of the dictionary."""
    return document.repetition.words


def mean_word_length(document: Document) -> float | None:
    """Characters a word."""
    return ratio(document.repetition.chars, document.repetition.words)


def frac_words_unique(document: Document) -> float | None:
    """Different words, in lower case, over all words."""
    return ratio(document.repetition.distinct, document.repetition.words)


def frac_chars_alphabet(document: Document) -> float:
    """Letters of any script over visible characters; 0 where nothing is visible."""
    return ratio(document.num_letters, document.num_visible) or 0.0


def frac_chars_digital(document: Document) -> float:
    """Digits over visible characters; 1 where nothing is visible."""
    digits = len(document.raw.translate(None, _NOT_DIGITS)) + sum(map(str.isdigit, document.not_ascii))
    return 1.0 if document.num_visible == 0 else digits / document.num_visible


def frac_chars_whitespace(document: Document) -> float | None:
    """White space over characters."""
    return ratio(len(document.text) - document.num_visible, len(document.text))


def frac_chars_replacement_symbols(document: Document) -> float | None:
    """U+FFFD, what a failed decoding leaves, over characters."""
    return ratio(document.text.count("\ufffd"), len(document.text))
