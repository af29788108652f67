"""Values of a declared type, and other values of it that mean something else. Seeded: the same in every process.

Not Hypothesis: the torture suite counts its mutations in a table, so it must make the same ones each time.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterator
from fractions import Fraction
from random import Random
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from compiler.ir import Operator

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PART = "part"
Change = tuple[str, Any]
"""What was done, in words, and the value that it led to."""


def is_semantic(field: attrs.Attribute[Any]) -> bool:
    """Whether a field of an operator or part is marked neither execution nor doc."""
    return bool(field.metadata.get("role", "semantic") == "semantic")


def fields_of(cls: type) -> tuple[attrs.Attribute[Any], ...]:
    """The fields of a class with their types, as objects and not as text."""
    found: tuple[attrs.Attribute[Any], ...] = attrs.fields(attrs.resolve_types(cls))
    return found


def word(random: Random) -> str:
    """Five letters."""
    return "".join(random.choice(LETTERS) for _ in range(5))


def value_of(kind: Any, random: Random) -> Any:
    """Some value of a type; tuples have three entries, and what may be None is not."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return random.choice(args)
    if origin in {Union, types.UnionType}:
        return value_of(next(arg for arg in args if arg is not type(None)), random)
    if origin is tuple:
        kinds = (args[0],) * 3 if args[-1] is Ellipsis else args
        return tuple(value_of(each, random) for each in kinds)
    if attrs.has(kind):
        return kind(**{field.name: value_of(field.type, random) for field in fields_of(kind)})
    plain: dict[Any, Callable[[], Any]] = {
        bool: lambda: random.random() < 0.5,
        int: lambda: random.randint(2, 10**6),
        float: lambda: random.uniform(0.001, 1000.0),
        str: lambda: word(random),
        Fraction: lambda: Fraction(random.randint(1, 99), random.randint(100, 199)),
    }
    return plain[kind]()


def other_values(kind: Any, value: Any, random: Random) -> Iterator[Change]:
    """Values of the same type that mean something else, each with what was done to get it."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        yield from ((f"another alternative, {other!r}", other) for other in args if other != value)
    elif origin in {Union, types.UnionType}:
        inner = next(arg for arg in args if arg is not type(None))
        if value is None:
            yield "a value in place of none", value_of(inner, random)
        else:
            yield "none in place of a value", None
            yield from other_values(inner, value, random)
    elif origin is tuple:
        yield from _other_tuples(args, value, random)
    elif attrs.has(kind):
        yield from _other_objects(kind, value, random)
    else:
        yield from _other_plain(value, random)


def _other_plain(value: Any, random: Random) -> Iterator[Change]:
    if isinstance(value, bool):
        yield "the other truth", not value
    elif isinstance(value, int):
        yield from (("one more", value + 1), ("one less", value - 1), ("negated", -value), ("times ten", value * 10))
    elif isinstance(value, float):
        yield "the next float", math.nextafter(value, math.inf)
        yield "the float before", math.nextafter(value, -math.inf)
        yield "negated", -value
        yield "doubled", value * 2
    elif isinstance(value, Fraction):
        yield from (("a billionth more", value + Fraction(1, 10**9)), ("turned over", 1 / value))
    else:
        yield from (("a letter more", value + random.choice(LETTERS)), ("capitals", value.upper()))
        yield from (("empty", ""), ("a space after", value + " "), ("an accent", value + "\u0301"))


def _other_tuples(args: tuple[Any, ...], value: tuple[Any, ...], random: Random) -> Iterator[Change]:
    for number, item in enumerate(value):
        kind = args[0] if args[-1] is Ellipsis else args[number]
        for what, other in other_values(kind, item, random):
            yield f"entry {number}: {what}", (*value[:number], other, *value[number + 1 :])
    if args[-1] is not Ellipsis:
        return
    yield "an entry more", (*value, value_of(args[0], random))
    yield "an entry before", (value_of(args[0], random), *value)
    yield from ((f"without entry {number}", value[:number] + value[number + 1 :]) for number in range(len(value)))
    yield "the first entry twice", (value[0], *value)
    yield from (("turned round", value[::-1]), ("moved by one", value[1:] + value[:1]), ("none left", ()))
    if all(isinstance(item, str) for item in value):
        yield from ((f"joined by {mark!r}", (mark.join(value),)) for mark in (";", ",", "", "\0"))


def _other_objects(kind: type, value: Any, random: Random) -> Iterator[Change]:
    for field in fields_of(kind):
        if is_semantic(field):
            for what, other in other_values(field.type, getattr(value, field.name), random):
                yield f"{field.name}: {what}", attrs.evolve(value, **{field.name: other})
    yield from swapped(value)
    yield "another class with equal fields", recast(value, like(kind, name=f"{kind.__name__}Too", canonical=""))


def swapped(value: Any) -> Iterator[Change]:
    """Two fields of one type with each other's values."""
    fields = [field for field in fields_of(type(value)) if is_semantic(field)]
    for number, one in enumerate(fields):
        for other in fields[number + 1 :]:
            first, second = getattr(value, one.name), getattr(value, other.name)
            if one.type == other.type and repr(first) != repr(second):
                yield (
                    f"{one.name} and {other.name} swapped",
                    attrs.evolve(value, **{one.name: second, other.name: first}),
                )


def erased(value: Any) -> Iterator[Change]:
    """Values that compare equal to this one, or print as it does, and are of another type."""
    if isinstance(value, int) and not isinstance(value, bool):
        yield from (("an int as text", str(value)), ("an int as float", float(value)), ("an int in a tuple", (value,)))
    elif isinstance(value, bool):
        yield from (("a truth as int", int(value)), ("a truth as text", str(value)))
    elif isinstance(value, float):
        yield from (("a float as text", repr(value)), ("a float as fraction", Fraction(value)))
    elif isinstance(value, str):
        yield from (("text as bytes", value.encode()), ("text in a tuple", (value,)), ("text as letters", tuple(value)))
    elif isinstance(value, tuple):
        yield from (("a tuple as set", frozenset(value)), ("a tuple as text", repr(value)), ("in a tuple", (value,)))


# ---------------------------------------------------------------- classes as they might be in a later version


def like(cls: type, *, name: str = "", canonical: str | None = None, **options: Any) -> Any:
    """A class with the fields of another, as it might be declared in a later version.

    `extra` are fields more, `renamed` maps a field to its new name, `order` is a Random that shuffles the fields,
    `module` where it lies, `doc` its docstring, `slots` as in attrs. A part keeps its name in fingerprints unless
    `canonical` is "".
    """
    renamed: dict[str, str] = options.get("renamed", {})
    fields = {renamed.get(field.name, field.name): _again(field, field.name in renamed) for field in fields_of(cls)}
    fields.update(options.get("extra", {}))
    if "order" in options:
        fields = dict(options["order"].sample(list(fields.items()), len(fields)))
    bases = cls.__bases__ if issubclass(cls, Operator) else (object,)
    made: Any = attrs.make_class(
        name or cls.__name__,
        fields,
        bases,
        frozen=True,
        kw_only=True,
        slots=options.get("slots", True),
        eq=False,  # these two are dear to make, and nobody looks at them
        repr=False,
    )
    made.__module__, made.__doc__ = options.get("module", cls.__module__), options.get("doc", cls.__doc__)
    if issubclass(cls, Operator):
        made.op_id, made.op_version = cls.op_id, cls.op_version + options.get("raised", 0)
        made.outputs, made.unordered = cls.outputs, cls.unordered
    elif canonical is None:
        made.canonical = cls.__dict__.get("canonical", cls.__name__)
    return made


def _again(field: attrs.Attribute[Any], renamed: bool) -> Any:
    metadata = {**field.metadata, **({"aka": field.metadata.get("aka", field.name)} if renamed else {})}
    return attrs.field(default=field.default, type=field.type, converter=field.converter, metadata=metadata)


def recast(value: Any, cls: Any, **changes: Any) -> Any:
    """The same fields in another class; fields that were renamed are found by the names that they had."""
    given = {}
    for field in attrs.fields(cls):
        source = field.name if hasattr(value, field.name) else field.metadata.get("aka", field.name)
        if hasattr(value, source):
            given[field.name] = getattr(value, source)
    return cls(**{**given, **changes})
