"""Stretches of a source: how shards divide it. Reads nothing."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """Places `start` .. `stop` - 1 on the line of bytes that a source is; `stop` None: to its end."""

    start: int
    stop: int | None

    def __contains__(self, place: object) -> bool:
        """Whether a document at this place belongs to the stretch."""
        return isinstance(place, int) and place >= self.start and (self.stop is None or place < self.stop)

    def meets(self, start: int, stop: int) -> bool:
        """Whether it shares a place with start .. stop - 1."""
        return stop > self.start and (self.stop is None or start < self.stop)

    def within(self, start: int, stop: int) -> Span:
        """Its part of start .. stop - 1, counted from there.

        >>> Span(5, 20).within(10, 30), Span(5, None).within(0, 9), Span(5, 20).within(30, 40)
        (Span(start=0, stop=10), Span(start=5, stop=9), Span(start=0, stop=0))
        """
        last = stop if self.stop is None else min(self.stop, stop)
        first = max(self.start, start)
        return Span(first - start, last - start) if first < last else Span(0, 0)


WHOLE = Span(0, None)


def shard_range(total: int, shard: int, shards: int) -> tuple[int, int]:
    """First and last + 1 of the items of one shard; shards differ by at most one item.

    >>> [shard_range(10, k, 3) for k in range(3)]
    [(0, 3), (3, 6), (6, 10)]
    """
    return total * shard // shards, total * (shard + 1) // shards


def shard_span(size: int, shard: int, shards: int) -> Span:
    """The stretch of one shard of a source of that size; the last one is open at its end.

    >>> [shard_span(10, k, 3) for k in range(3)], shard_span(0, 0, 1)
    ([Span(start=0, stop=3), Span(start=3, stop=6), Span(start=6, stop=None)], Span(start=0, stop=None))
    """
    first, last = shard_range(size, shard, shards)
    return Span(first, None if shard == shards - 1 else last)
