"""Memo: what has been worked out for one experiment and holds for its neighbours, so that arms cost what they change.

Results go by the identity of the objects that they are of, never by equality: 1, 1.0 and True are equal and mean
different things. Not a cache of the process: each compile begins with its own, which all arms of an ablation share.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memo:
    """Results by what they are called, the objects that they depend on, and plain values that they depend on."""

    def __init__(self) -> None:
        self._results: dict[Hashable, tuple[Any, tuple[object, ...]]] = {}
        self._first: dict[str, Any] = {}

    def get(self, what: str, of: tuple[object, ...], make: Callable[[], T], values: Hashable = None) -> T:
        """The result of `make`, which depends on `of` and `values` alone; made at the first time.

        >>> memo, names = Memo(), ["b", "a"]
        >>> memo.get("sorted", (names,), lambda: sorted(names)) is memo.get("sorted", (names,), lambda: [])
        True
        """
        key = (what, *map(id, of), values)
        if key not in self._results:
            self._results[key] = (make(), of)  # objects are kept: another one must not come by their id
        result: T = self._results[key][0]
        return result

    def first(self, value: T) -> T:
        """The first object of plain data that says the same as this one, to the type of every number in it."""
        found: T = self.get("first", (value,), lambda: self._first.setdefault(repr(value), value))
        return found
