"""Byte spans: [start, end) pairs, sorted and disjoint after `merge`."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]


def total(spans: Iterable[Span]) -> int:
    """The bytes that disjoint spans cover.

    >>> total([(0, 2), (5, 9)])
    6
    """
    return sum(end - start for start, end in spans)


def merge(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The union of spans, sorted and disjoint; spans that touch stay apart.

    >>> merge([(4, 9), (0, 2), (5, 6), (2, 3)])
    ((0, 2), (2, 3), (4, 9))
    """
    union: list[Span] = []
    for start, end in sorted(spans):
        if union and start < union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        else:
            union.append((start, end))
    return tuple(union)


def outside(source: bytes, spans: Iterable[Span]) -> bytes:
    """The bytes of `source` that lie in none of the spans, which are sorted and disjoint.

    >>> outside(b"<p>one</p>two", [(0, 3), (6, 10)])
    b'onetwo'
    """
    kept, position = [], 0
    for start, end in spans:
        kept.append(source[position:start])
        position = end
    return b"".join((*kept, source[position:]))
