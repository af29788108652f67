"""Histograms of signals over bins that depend on the signal alone, so that counts of all shards add up.

The values are those that rules looked at: a document that an early rule drops has no value for a later one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from functools import cache

from compiler.errors import UserError
from compiler.quality_rules import SIGNAL_RANGES

BINS = 40
# Counts: five bins to a factor of ten, up to 10 ** 8; bin 0 holds those below 1.
_PER_DECADE = 5
# Signals without a largest value whose thresholds need finer bins than a factor.
_LINEAR = {
    "mean_word_length": (0.0, 20.0),
    "entropy_unigram": (0.0, 12.0),
    "frac_lines_func_ratio": (0.0, 1.0),
    "score_lines_no_logic": (0.0, 1.0),
}


@cache
def edges(signal: str) -> tuple[float, ...]:
    """The edges of the signal's bins, ascending: bin i holds values in [edges[i], edges[i + 1]).

    The last bin holds all values above, and its upper edge too. Raises UserError for a name that is no signal.

    >>> edges("frac_chars_comments")[:3], edges("frac_chars_comments")[-1], len(edges("frac_chars_comments"))
    ((0.0, 0.025, 0.05), 1.0, 41)
    >>> [round(edge, 2) for edge in edges("num_lines")[:4]], edges("num_lines")[-1]
    ([0.0, 1.0, 1.58, 2.51], 100000000.0)
    """
    if signal not in SIGNAL_RANGES:
        raise UserError(f"no such quality signal: {signal}", fix=f"use one of {', '.join(sorted(SIGNAL_RANGES))}")
    low, high = _LINEAR.get(signal, SIGNAL_RANGES[signal])
    if high <= 1 or signal in _LINEAR:
        return tuple(low + (high - low) * i / BINS for i in range(BINS + 1))
    return (0.0, *(10 ** (i / _PER_DECADE) for i in range(BINS + 1)))


def bin_of(signal: str, value: float) -> int:
    """The bin that holds the value.

    >>> bin_of("frac_chars_comments", 0.03), bin_of("frac_chars_comments", 1.0), bin_of("num_lines", 1e12)
    (1, 39, 40)
    """
    bounds = edges(signal)
    return min(max(bisect_right(bounds, value) - 1, 0), len(bounds) - 2)


class Histograms:
    """Counts of values by signal, by type of document and by bin."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], Counter[int]] = {}

    def add(self, doc_type: str, values: Mapping[str, float | None]) -> None:
        """Count the values of one document; None is not counted."""
        for signal, value in values.items():
            if value is not None:
                self._counts.setdefault((signal, doc_type), Counter())[bin_of(signal, value)] += 1

    def stats(self) -> dict[str, dict[str, dict[str, int]]]:
        """Documents by signal, type of document and bin (as text); empty bins are left out."""
        found: dict[str, dict[str, dict[str, int]]] = {}
        for (signal, doc_type), counts in sorted(self._counts.items()):
            found.setdefault(signal, {})[doc_type] = {str(number): counts[number] for number in sorted(counts)}
        return found
