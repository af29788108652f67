"""Tokens of text before it is encoded: bytes over bytes a token, by language and size of the vocabulary. No tokenizer.

BYTES_A_TOKEN was measured with `benchmarks/bytes_per_token.py` on 83 MB of 22 languages (22 repositories, 2026-11-30):
a byte-level BPE with ocspec's own split of words, trained on three quarters of the repositories, counting the rest.
The bounds are those of single repositories; where a language had but one to three of them the truth of others lies
outside now and then, so that they are widened by FEW. A tokenizer that was trained on prose, or on other languages,
makes more tokens of code than these.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, reduce

from compiler.cost.interval import UNKNOWN, Interval

VOCABULARIES = (2_048, 32_768, 96_640)
FEW = 1.15

BYTES_A_TOKEN: dict[str, tuple[tuple[float, float], ...]] = {
    "c": ((2.34, 2.34), (3.41, 3.41), (3.62, 3.62)),
    "css": ((1.83, 2.15), (2.65, 3.23), (2.92, 3.41)),
    "html": ((2.20, 2.44), (3.08, 3.60), (3.43, 3.74)),
    "javascript": ((1.99, 2.90), (2.87, 4.18), (3.03, 4.45)),
    "json": ((2.09, 3.77), (2.91, 4.72), (3.07, 4.86)),
    "markdown": ((1.93, 2.44), (2.96, 3.80), (3.10, 4.06)),
    "python": ((2.56, 3.06), (3.79, 4.55), (4.00, 4.75)),
    "ruby": ((2.34, 2.34), (3.30, 3.30), (3.47, 3.47)),
    "shell": ((1.83, 1.83), (2.89, 2.89), (3.18, 3.18)),
    "tcl": ((2.51, 2.51), (3.50, 3.50), (3.65, 3.65)),
    "typescript": ((2.65, 2.65), (3.85, 3.85), (4.03, 4.03)),
    "yaml": ((2.06, 2.06), (3.17, 3.17), (3.49, 3.49)),
}
"""Least and most bytes a token, for each of VOCABULARIES."""


def bytes_a_token(vocab_size: int, languages: Iterable[str] = (), measured: Interval | None = None) -> Interval:
    """For text in these languages, in what mixture is not known; none: in any.

    `measured` is of past runs, in whatever languages, and goes before the table where the text may be in any. A
    language that is not in the table may be like any of it.

    >>> bytes_a_token(32_768, ["ruby"]).low < 3.30 < bytes_a_token(32_768, ["ruby"]).high
    True
    >>> bytes_a_token(32_768, ["cobol"]) == bytes_a_token(32_768)
    True
    """
    wanted = frozenset(languages)
    if measured is not None and not wanted:
        return measured
    return _of_any(wanted or frozenset(BYTES_A_TOKEN), vocab_size)


def tokens_of(text: Interval, ratio: Interval) -> Interval:
    """Tokens of so many bytes: at least one where there is text."""
    return UNKNOWN if not text.is_known else text / ratio


@cache
def _of_any(languages: frozenset[str], vocab_size: int) -> Interval:
    return reduce(Interval.hull, (_of(language, vocab_size) for language in sorted(languages)))


@cache
def _of(language: str, vocab_size: int) -> Interval:
    """Of the vocabularies that were measured, those beside this one; beyond the last nothing above it is known."""
    if language not in BYTES_A_TOKEN:
        return reduce(Interval.hull, (_of(known, vocab_size) for known in BYTES_A_TOKEN))
    below = max((i for i, size in enumerate(VOCABULARIES) if size <= vocab_size), default=0)
    above = min((i for i, size in enumerate(VOCABULARIES) if size >= vocab_size), default=len(VOCABULARIES) - 1)
    ends = [bound for i in (below, above) for bound in BYTES_A_TOKEN[language][i]]
    least = 1.0 if vocab_size < VOCABULARIES[0] else min(ends) / FEW  # no fewer than a byte
    return Interval(least, max(ends) * FEW)
