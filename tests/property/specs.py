"""Mutations of one object of the language: those that mean the same, and those that do not.

Each is what was done, in words, and a function that makes the experiment that comes of it, since of many a test takes
some. Nothing is compared here.
"""

from __future__ import annotations

import math
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from random import Random
from typing import Annotated, Any, Literal, get_args

import attrs

from ocspec.base import Aka, FieldRole, Spec, SpecError
from ocspec.evaluation import Evaluation
from ocspec.experiment import Experiment
from ocspec.mixture import Dataset, Mixture, Part
from ocspec.sources import Source
from tests.property.hosts import FORMS, IDLE, NEEDED, OTHERS, REFUSED, host
from tests.property.programs import Program, render, ways_to_write
from tests.property.values import word

Mutation = tuple[str, Callable[[], Experiment]]
SETS = {"languages", "doc_types", "keywords", "repositories", "url_patterns", "stop_phrases", "sources", "packages",
        "benchmarks", "instructions", "parts", "caps", "evaluations", "data"}  # fmt: skip
"""Fields whose entries have no order."""
REPEATED = {"languages", "keywords", "repositories", "url_patterns", "stop_phrases"}
"""Of these, fields in which an entry may stand twice."""


def roles(kind: type[Spec]) -> dict[str, str]:
    """What each field is: semantic, execution or doc; of a kind that is a record only, all are doc."""
    if kind.change_class == "doc":
        return dict.fromkeys(kind.model_fields, "doc")
    return {
        name: next((mark.name for mark in info.metadata if isinstance(mark, FieldRole)), "semantic")
        for name, info in kind.model_fields.items()
    }


def _is_set(part: Spec, name: str) -> bool:
    return name in SETS or (name == "stages" and isinstance(part, Evaluation))


# ---------------------------------------------------------------- what means the same


def texts(part: Spec) -> dict[str, str]:
    """Programs that write the object's experiment in other ways."""
    whole = host(part)
    program, full = (Program.of(whole, part, everything=everything) for everything in (False, True))
    return {"as it is": render(program), **ways_to_write(program, full, Random(type(part).__name__))}


def run(text: str) -> Experiment:
    """What a program defines as its experiment."""
    module = types.ModuleType("program")
    sys.modules["program"] = module
    try:
        exec(compile(text, "program.py", "exec"), module.__dict__)
    finally:
        del sys.modules["program"]
    found: Experiment = module.experiment
    return found


def preserving(part: Spec) -> Iterator[Mutation]:
    """Experiments whose tasks must all have the fingerprints that they had."""
    random = Random(f"{type(part).__name__} preserving")
    yield from ((what, partial(run, text)) for what, text in texts(part).items())
    for what, same in (*_run_otherwise(part, random), *_in_any_order(part, random), *_renamed(part)):
        yield what, partial(host, same)


def _run_otherwise(part: Spec, random: Random) -> Iterator[tuple[str, Spec]]:
    """Other values in the fields marked execution or doc, and in those that mean nothing here."""
    for name, role in roles(type(part)).items():
        place = f"{type(part).__name__}.{name}"
        if role == "semantic" and place not in IDLE:
            continue
        if name == "path" and not str(getattr(part, name)).startswith("gone"):
            yield "its files by another path", part.replace(path=f"./{part.path}")  # type: ignore[attr-defined]
            continue
        for what, value in list(other_values(part, name, random))[:5]:
            if (changed := attempt(part, name, value)) is not None:
                yield f"{name} ({role}): {what}", changed


def _in_any_order(part: Spec, random: Random) -> Iterator[tuple[str, Spec]]:
    for name in sorted(name for name in type(part).model_fields if _is_set(part, name)):
        value = getattr(part, name)
        if not isinstance(value, dict | tuple) or len(value) < 2:
            continue
        if isinstance(value, dict):
            yield f"{name} in another order", part.replace(**{name: dict(reversed(value.items()))})
            continue
        yield f"{name} turned round", part.replace(**{name: value[::-1]})
        yield f"{name} moved by one", part.replace(**{name: value[1:] + value[:1]})
        if name in REPEATED:
            yield f"an entry of {name} twice", part.replace(**{name: (*value, value[0])})
    if isinstance(part, Mixture):
        for factor in (2, Fraction(1, 3), 0.1, 1000):
            yield f"weights times {factor}", Mixture(parts=part.scaled(part.total * Fraction(str(factor))))
    if isinstance(part, Part):
        yield "its weight as a fraction", part.replace(weight=Fraction(str(part.weight)))
        yield "its weight as a float", part.replace(weight=float(part.weight))
        yield "its epochs as a float", part.replace(max_epochs=float(part.max_epochs))


def _renamed(part: Spec) -> Iterator[tuple[str, Spec]]:
    kind = type(part)
    values = {name: getattr(part, name) for name in kind.model_fields}
    if "aka" in kind.model_fields:
        for name in ("zz", "Another.name"):
            yield f"renamed to {name} with aka", part.replace(name=name, aka=values["name"])
    if kind.__name__ in EXACT:
        return
    yield "a class derived from its own", later(kind)(**values)
    yield "its class in another module", later(kind, module="elsewhere.language")(**values)
    yield "its class renamed", later(kind, name=f"Later{kind.__name__}")(**values)
    for name in kind.model_fields:
        rest = {other: value for other, value in values.items() if other != name}
        renamed = later(kind, former=name)
        yield f"{name} under the name that it had", renamed(**rest, **{f"{name}_was": values[name]})


EXACT = {"Experiment"}
"""Kinds that are not derived from here: the whole is made by its own class."""


def later(kind: type[Spec], *, name: str = "", module: str = "", former: str = "") -> Any:
    """A kind as a later version might declare it: under another name or in another module, or with a field renamed."""
    body: dict[str, Any] = {
        "__module__": module or kind.__module__,
        "canonical": kind.__name__,
        "__doc__": kind.__doc__,
    }
    if former:
        info = kind.model_fields[former]
        marks = (*info.metadata, Aka(f"{former}_was"))
        body["__annotations__"] = {former: Annotated[(info.annotation, *marks)]}
        if not info.is_required():
            body[former] = info.default
    metaclass: Any = type(kind)
    return metaclass(name or kind.__name__, (kind,), body)


# ---------------------------------------------------------------- what means something else


@attrs.frozen(eq=False)
class Change:
    """What was done, in words, to which fields of an object; new names and the old ones of those that were renamed."""

    what: str
    fields: tuple[str, ...]
    make: Callable[[], Experiment]
    names: Mapping[str, str] = attrs.field(factory=dict)

    @classmethod
    def of(cls, part: Spec, changed: Spec, what: str, fields: tuple[str, ...], context: int) -> Change:
        """What makes the experiment around the changed object."""
        return cls(what, fields, partial(host, changed, context), dict(_renames(part, changed)))


def _renames(part: Any, changed: Any) -> Iterator[tuple[str, str]]:
    """New names and old ones of what ids of tasks are made of, of an object and what it holds."""
    if isinstance(part, Dataset | Source) and part.name != changed.name:
        yield changed.name, part.name
    for name in type(part).model_fields if isinstance(part, Spec) and type(part) is type(changed) else ():
        old, new = getattr(part, name), getattr(changed, name)
        if isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
            for one, other in zip(old, new, strict=True):
                yield from _renames(one, other)


def semantic(part: Spec) -> list[str]:
    """The fields of which another value means something else in the host."""
    return [name for name, role in roles(type(part)).items() if role == "semantic" and _counts(part, name)]


def changing(part: Spec, context: int) -> Iterator[Change]:
    """Experiments that have a task with another fingerprint than those of `host(part, context)`."""
    random = Random(f"{type(part).__name__} changing {context}")
    for name in semantic(part):
        given = [(repr(other), other) for other in OTHERS.get(f"{type(part).__name__}.{name}", ())]
        for what, value in (*given, *other_values(part, name, random), *_inside(part, name, random)):
            if (changed := attempt(part, name, value)) is not None:
                yield Change.of(part, changed, f"{name}: {what}", (name,), context)
    for one, other, changed in _swapped(part):
        yield Change.of(part, changed, f"{one} and {other} swapped", (one, other), context)


def in_other_form(kind: type[Spec], context: int) -> Iterator[tuple[Experiment, list[Change]]]:
    """An experiment around the kind's other form, where it has one, and those in which that says something else."""
    if kind in FORMS:
        written, others = FORMS[kind]
        part = kind(**written)
        tried = [(name, value, attempt(part, name, value)) for name, values in others.items() for value in values]
        yield (
            host(part, context),
            [
                Change.of(part, changed, f"{name} in its other form: {value!r}", (name,), context)
                for name, value, changed in tried
                if changed is not None
            ],
        )


def _inside(part: Spec, name: str, random: Random) -> Iterator[tuple[str, Any]]:
    """For objects in a field: another value of each of their fields, the first one that their kind takes."""
    value = getattr(part, name)
    if isinstance(value, Spec):
        yield from _other_inside(value, random)
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            if isinstance(item, Spec):
                for what, other in _other_inside(item, random):
                    yield f"entry {number}, {what}", (*value[:number], other, *value[number + 1 :])


def _other_inside(item: Spec, random: Random) -> Iterator[tuple[str, Spec]]:
    for inner in semantic(item):
        if isinstance(item, Dataset) and inner == "name":  # by which mixtures call it: it cannot change alone
            continue
        for what, value in other_values(item, inner, random):
            if (changed := attempt(item, inner, value)) is not None:
                yield f"{inner}: {what}", changed
                break


NAMES = {"stages", "instructions"}
"""Fields that hold names of other objects: one that nothing has is refused by a rule."""
NOT_SWAPPED = {"iterations"}
"""A crawl of as many rounds as its vocabulary has words takes long to compile."""


def attempt(part: Spec, name: str, value: Any) -> Spec | None:
    """The object with another value, or nothing where the language refuses it."""
    try:
        changed: Spec = part.replace(**{name: value})
    except (SpecError, TypeError):
        return None
    return None if changed == part else changed


def _swapped(part: Spec) -> Iterator[tuple[str, str, Spec]]:
    """Two plain fields of one type, and the object with each other's values."""
    names = [name for name in semantic(part) if name not in NOT_SWAPPED]
    for number, one in enumerate(names):
        for other in names[number + 1 :]:
            first, second = getattr(part, one), getattr(part, other)
            if type(first) is type(second) and isinstance(first, int | float | str) and first != second:
                try:
                    yield one, other, part.replace(**{one: second, other: first})
                except SpecError:
                    continue


def _counts(part: Spec, name: str) -> bool:
    place = f"{type(part).__name__}.{name}"
    needed = NEEDED.get(name)
    return place not in IDLE and place not in REFUSED and name != "aka" and (not needed or bool(getattr(part, needed)))


def other_values(part: Spec, name: str, random: Random) -> Iterator[tuple[str, Any]]:
    """Other values to try in a field, by what it holds and what it is declared to take."""
    value = getattr(part, name)
    annotation = type(part).model_fields[name].annotation
    alternatives = list(_alternatives(annotation))
    if value is None:
        yield from (("a value in place of none", other) for other in (7, 0.25, "c"))
    elif isinstance(value, bool):
        yield "the other truth", not value
    elif isinstance(value, int):
        yield from (("one more", value + 1), ("one less", value - 1), ("doubled", value * 2), ("seven more", value + 7))
    elif isinstance(value, float):
        yield from (("the next float", math.nextafter(value, math.inf)), ("nine tenths", value * 0.9))
        yield "the float before", math.nextafter(value, -math.inf)
    elif isinstance(value, str):
        others = alternatives or [f"{value}x", value.upper(), f"{value}2", word(random), "1" * len(value)]
        yield from ((f"{other!r}", other) for other in others if other != value)
    elif isinstance(value, dict):
        yield from (("an entry more", {**value, word(random): 3}), ("one entry", dict([*value.items()][:1])))
        yield "an entry of another value", {key: item + 1 for key, item in value.items()}
    elif isinstance(value, tuple):
        found = _other_tuples(value, alternatives, random, ordered=not _is_set(part, name))
        yield from (other for other in found if name not in NAMES or set(other[1]) <= set(value))
    if typing.get_origin(annotation) and type(None) in get_args(annotation) and value is not None:
        yield "none in place of a value", None


def _other_tuples(
    value: tuple[Any, ...], alternatives: list[Any], random: Random, *, ordered: bool
) -> Iterator[tuple[str, Any]]:
    yield from ((f"without entry {number}", value[:number] + value[number + 1 :]) for number in range(len(value)))
    if ordered and len(value) > 1:
        yield "turned round", value[::-1]
    if all(isinstance(item, str) for item in value):
        new = [item for item in alternatives if item not in value] or [word(random), word(random)]
        yield from ((f"{item!r} more", (*value, item)) for item in new)
        yield from ((f"joined by {mark!r}", (mark.join(value),)) for mark in (";", ",") if len(value) > 1)
        yield "an entry in capitals", (*value[:-1], *(item.upper() for item in value[-1:]))
    for number, item in enumerate(value):
        if isinstance(item, Dataset):
            yield f"entry {number} without steps", (*value[:number], item.replace(steps=()), *value[number + 1 :])


def _alternatives(annotation: Any) -> Iterator[Any]:
    """What a field may hold where it is one of a few words."""
    if typing.get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for argument in get_args(annotation):
            yield from _alternatives(argument)
