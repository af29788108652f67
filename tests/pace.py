"""Bounds on processor time that hold on every machine: what a slower one takes longer for, it may take longer for.

Processor time, so that other processes count little; and where a bound is passed, it is stretched by as much as a fixed
piece of work takes longer, here and now, than where the bounds were set. Not a benchmark: nothing is reported.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager

YARDSTICK_S = 0.025  # of `_work`, with Python 3.11 on two cores of an Intel Xeon, where the bounds were set


def cpu_seconds(act: Callable[[], object]) -> float:
    """Processor time of a call, that of processes which it started and waited for included."""
    before = _used()
    act()
    return _used() - before


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block takes less than so many seconds of processor time, on a machine as fast as the one of YARDSTICK_S."""
    before = _used()
    yield
    check(_used() - before, seconds)


def check(used: float, seconds: float) -> None:
    """Assert that so many seconds of processor time are less than a bound, as `within` understands it."""
    if used >= seconds:
        slower = max(1.0, min(cpu_seconds(_work) for _ in range(5)) / YARDSTICK_S)
        assert used < seconds * slower, f"{used:.2f} s, on a machine that takes {slower:.2f} times as long"


def _used() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


def _work() -> int:
    """What an interpreter does all day: numbers, strings, a table."""
    table: dict[str, int] = {}
    for number in range(100_000):
        table[f"key {number % 5_000}"] = number * number
    return sum(map(len, table))
