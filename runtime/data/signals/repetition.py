"""Signals of repetition: lines and runs of words that a document holds more than once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from runtime.data.ngrams import DUPLICATE, TOP
from runtime.data.signals.document import Document, ratio


def frac_lines_dupe_lines(document: Document) -> float | None:
    """Code lines that occur more than once, all copies, over code lines; `},` never counts."""
    seen = Counter(document.code_lines)
    repeated = sum(n for line, n in seen.items() if n > 1 and len(line) > 1 and line != b"},")
    return ratio(repeated, len(document.code_lines))


def frac_chars_dupe_lines(document: Document) -> float | None:
    """Characters of stripped lines that occur more than once, all copies, over characters of all stripped lines."""
    seen = Counter(line.strip() for line in document.lines)
    repeated = sum(n * len(line) for line, n in seen.items() if n > 1)
    return ratio(repeated, sum(n * len(line) for line, n in seen.items()))


def _top(n: int) -> Callable[[Document], float | None]:
    def signal(document: Document) -> float | None:
        found = document.repetition
        return found.top[n] if found.words else None

    signal.__name__ = f"frac_chars_top_{n}grams"
    signal.__doc__ = (
        f"""The commonest {n} words in a row: their characters times their number, over all words'; at most 1."""
    )
    return signal


def _duplicate(n: int) -> Callable[[Document], float | None]:
    def signal(document: Document) -> float | None:
        found = document.repetition
        return found.duplicate[n] if found.words else None

    signal.__name__ = f"frac_chars_dupe_{n}grams"
    signal.__doc__ = f"""Characters in any {n} words in a row that occur twice, each counted once, over all words'."""
    return signal


TOP_NGRAMS = tuple(_top(n) for n in TOP)
DUPLICATE_NGRAMS = tuple(_duplicate(n) for n in DUPLICATE)
