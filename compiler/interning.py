"""Interning: parts of specs that say the same, made at the same place, become one object.

Arms that were edited out of one experiment hold copies of what they change: a thousand learning rates times ten
thresholds are a thousand data sets of which ten differ. What goes by identity (`compiler.memo`) then finds these ten.
Not a comparison of specs: 1, 1.0 and True are kept apart here, and so are parts from different lines.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

from ocspec.base import Spec

AnySpec = TypeVar("AnySpec", bound=Spec)


class Interned:
    """The first of every part that was seen."""

    def __init__(self) -> None:
        self._first: dict[Hashable, Spec] = {}
        self._known: dict[int, tuple[Spec, Spec]] = {}

    def spec(self, spec: AnySpec) -> AnySpec:
        """A spec that equals this one, whose parts are those that were seen first; itself, if it is new."""
        if id(spec) not in self._known:
            self._known[id(spec)] = spec, self._find(spec)  # both are kept: another must not come by their ids
        found: Any = self._known[id(spec)][1]
        return found  # type: ignore[no-any-return]  # of the same type, which is part of the key

    def _find(self, spec: Spec) -> Spec:
        fields = {name: getattr(spec, name) for name in type(spec).model_fields}
        values = {name: self._value(value) for name, value in fields.items()}
        key = type(spec), str(spec.origin), tuple(map(_key, values.values()))
        if key not in self._first:
            changed = {name: value for name, value in values.items() if value is not fields[name]}
            made = spec.model_copy(update=changed) if changed else spec
            self._first[key] = made
            self._known[id(made)] = made, made
        return self._first[key]

    def _value(self, value: Any) -> Any:
        if isinstance(value, Spec):
            return self.spec(value)
        if isinstance(value, tuple):
            items = tuple(map(self._value, value))
            return value if all(map(_same, items, value)) else items
        return value


def _same(one: object, other: object) -> bool:
    return one is other


def _key(value: Any) -> Hashable:
    """Specs are interned already, and go by identity; all else by type and text."""
    if isinstance(value, Spec):
        return id(value)
    if isinstance(value, tuple):
        return tuple(map(_key, value))
    if isinstance(value, Mapping):
        return tuple((key, _key(item)) for key, item in value.items())
    return type(value), repr(value)
