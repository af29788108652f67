"""Mutations of one operator and its inputs: those that mean the same, and those that do not. Generated from its fields.

Each mutation is what was done, in words, and a function that makes the pre-image that comes of it. Nothing is
compared here.
"""

from __future__ import annotations

import copy
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import attrs

from compiler import ir
from compiler.canonical import Tree, task_preimage
from compiler.plan import CONVERTER
from tests.property.values import (
    erased,
    fields_of,
    is_semantic,
    like,
    other_values,
    recast,
    swapped,
    value_of,
    word,
)

Inputs = dict[str, list[str]]
Mutation = tuple[str, Callable[[], Tree]]
ROLES = ("alpha", "beta")


def sample(cls: type[ir.Operator], seed: int = 0) -> tuple[Any, Inputs]:
    """An operator with a value in every field, and inputs in two roles beside those that have no order.

    Its first float is a whole number, since that may be written without a point.
    """
    random = Random(f"{cls.op_id} {seed}")
    op = value_of(cls, random)
    floats = [field.name for field in fields_of(cls) if isinstance(getattr(op, field.name), float)]
    op = attrs.evolve(op, **{name: float(round(getattr(op, name)) + 1) for name in floats[:1]})
    roles = [*ROLES, *sorted(cls.unordered)]
    return op, {role: [f"{random.getrandbits(256):064x}" for _ in range(3)] for role in roles}


# ---------------------------------------------------------------- what means the same


def preserving(op: Any, inputs: Inputs) -> Iterator[Mutation]:
    """Pre-images that must not differ from the operator's own."""
    random = Random(op.op_id)
    for what, same in _carried(op):
        yield what, partial(task_preimage, same, inputs)
    for what, same in _rewritten(op, random):
        yield what, partial(task_preimage, same, inputs)
    for what, same in _evolved(op, random):
        yield what, partial(task_preimage, same, inputs)
    for what, same in _run_otherwise(op, random):
        yield what, partial(task_preimage, same, inputs)
    yield "roles in another order", partial(task_preimage, op, dict(reversed(inputs.items())))
    yield "inputs as tuples", partial(task_preimage, op, {role: tuple(ids) for role, ids in inputs.items()})  # type: ignore[misc]
    for role in op.unordered:
        for turn in range(1, len(inputs[role])):
            moved = inputs[role][turn:] + inputs[role][:turn]
            yield f"inputs of {role} moved by {turn}", partial(task_preimage, op, {**inputs, role: moved})
    yield "the pre-image through JSON", lambda: json.loads(json.dumps(task_preimage(op, inputs)))
    yield "the pre-image through sorted JSON", lambda: json.loads(json.dumps(task_preimage(op, inputs), sort_keys=True))
    yield "made in another thread", partial(_in_a_thread, op, inputs)


def _carried(op: Any) -> Iterator[tuple[str, Any]]:
    yield "a copy", copy.copy(op)
    yield "a deep copy", copy.deepcopy(op)
    yield from ((f"pickled by protocol {k}", pickle.loads(pickle.dumps(op, k))) for k in range(2, 6))
    data = CONVERTER.unstructure(op)
    yield "through a plan's JSON", CONVERTER.structure(json.loads(json.dumps(data)), ir.Operator)
    turned = json.loads(json.dumps(data, sort_keys=True, indent=3))
    yield "through JSON with sorted keys", CONVERTER.structure(turned, ir.Operator)


def _rewritten(op: Any, random: Random) -> Iterator[tuple[str, Any]]:
    values = {field.name: getattr(op, field.name) for field in attrs.fields(type(op))}
    for number in range(3):
        shuffled = random.sample(list(values.items()), len(values))
        yield f"arguments in another order, {number}", type(op)(**dict(shuffled))
    yield "lists for tuples", attrs.evolve(op, **{k: list(v) for k, v in values.items() if isinstance(v, tuple)})
    if whole := {k: int(v) for k, v in values.items() if isinstance(v, float) and v.is_integer()}:
        yield "whole numbers without a point", attrs.evolve(op, **whole)


def _evolved(op: Any, random: Random) -> Iterator[tuple[str, Any]]:
    """The operator as a later version of its module might declare it."""
    cls = type(op)
    defaults = {
        "an int": 3, "a text": "x", "none": None, "a tuple": (1, 2), "a part": ir.Columns(), "a truth": False,
        "a fraction": 0.5,
    }  # fmt: skip
    for what, default in defaults.items():
        yield f"a new field, {what} by default", recast(op, like(cls, extra={"added": attrs.field(default=default)}))
    factory: Any = attrs.field(factory=dict)
    yield "a new field with a factory", recast(op, like(cls, extra={"added": factory}))
    for role in ("execution", "doc"):
        extra = {"added": attrs.field(default=1, metadata={"role": role})}
        yield f"a new field, {role}", recast(op, like(cls, extra=extra), added=random.randint(2, 99))
    yield "its class under another name", recast(op, like(cls, name=f"Later{cls.__name__}"))
    yield "its class in another module", recast(op, like(cls, module="elsewhere.ir"))
    yield "its class with another docstring", recast(op, like(cls, doc="Says something else."))
    yield "its class without slots", recast(op, like(cls, slots=False))
    yield "a class derived from it", recast(op, attrs.frozen(kw_only=True)(type("Heir", (cls,), {})))
    for number in range(2):
        yield f"its fields in another order, {number}", recast(op, like(cls, order=random))
    for field in fields_of(cls):
        if is_semantic(field):
            later = like(cls, renamed={field.name: f"{field.name}_now"})
            yield f"{field.name} renamed", recast(op, later)
            yield from _evolved_parts(op, field.name, getattr(op, field.name))


def _evolved_parts(op: Any, name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The same with the classes of a field's parts, also within a tuple."""
    part = value[0] if isinstance(value, tuple) and value else value
    if not attrs.has(type(part)):
        return
    variants: dict[str, dict[str, Any]] = {
        "renamed": {"name": "Later"},
        "in another module": {"module": "elsewhere.parts"},
        "with a new field": {"extra": {"added": attrs.field(default=7)}},
        "with fields in another order": {"order": Random(name)},
        "with its first field renamed": {"renamed": {attrs.fields(type(part))[0].name: "first_now"}},
    }
    for what, options in variants.items():
        cls = like(type(part), **options)
        whole = tuple(recast(item, cls) for item in value) if isinstance(value, tuple) else recast(value, cls)
        yield f"the class of {name} {what}", attrs.evolve(op, **{name: whole})


def _run_otherwise(value: Any, random: Random, path: str = "") -> Iterator[tuple[str, Any]]:
    """Other values in the fields marked execution or doc, at any depth."""
    for field in fields_of(type(value)):
        held = getattr(value, field.name)
        if not is_semantic(field):
            for what, other in list(other_values(field.type, held, random))[:6]:
                yield (
                    f"{path}{field.name} ({field.metadata['role']}): {what}",
                    attrs.evolve(value, **{field.name: other}),
                )
        elif attrs.has(type(held)):
            for what, other in _run_otherwise(held, random, f"{field.name}."):
                yield f"{path}{what}", attrs.evolve(value, **{field.name: other})
        elif isinstance(held, tuple) and held and attrs.has(type(held[0])):
            for what, other in _run_otherwise(held[0], random, f"{field.name}[0]."):
                yield f"{path}{what}", attrs.evolve(value, **{field.name: (other, *held[1:])})


def _in_a_thread(op: Any, inputs: Inputs) -> Tree:
    found: list[Tree] = []
    thread = threading.Thread(target=lambda: found.append(task_preimage(op, inputs)))
    thread.start()
    thread.join()
    return found[0]


# ---------------------------------------------------------------- what means something else


def changing(op: Any, inputs: Inputs) -> Iterator[Mutation]:
    """Pre-images that must differ from the operator's own."""
    random = Random(f"{op.op_id} changing")
    for what, other in _other_operators(op, random):
        yield what, partial(task_preimage, other, inputs)
    for what, other_inputs in _other_inputs(inputs, type(op).unordered, random):
        yield what, partial(task_preimage, op, other_inputs)


def _other_operators(op: Any, random: Random) -> Iterator[tuple[str, Any]]:
    cls = type(op)
    for field in fields_of(cls):
        if not is_semantic(field):
            continue
        value = getattr(op, field.name)
        for what, other in other_values(field.type, value, random):
            yield f"{field.name}: {what}", attrs.evolve(op, **{field.name: other})
        if field.type is not float:
            for what, other in erased(value):
                yield f"{field.name}: {what}", _forced(op, field.name, other)
    yield from swapped(op)
    for raised in (1, 2, -1, 10):
        yield f"its version {raised:+d}", recast(op, like(cls, raised=raised))
    later = like(cls, extra={"added": attrs.field(default=1)})
    yield "a new field at another value", recast(op, later, added=2)
    for other in ir.OPERATORS.values():
        if other is not cls:
            stranger = like(cls, name=other.__name__)
            stranger.op_id, stranger.op_version = other.op_id, cls.op_version
            yield f"its fields under {other.op_id}", recast(op, stranger)


def _forced(op: Any, name: str, value: Any) -> Any:
    """The operator with a value that its class would not be given."""
    other = copy.copy(op)
    object.__setattr__(other, name, value)
    return other


def _other_inputs(inputs: Inputs, unordered: frozenset[str], random: Random) -> Iterator[tuple[str, Inputs]]:
    roles = list(inputs)
    for role, ids in inputs.items():
        rest = {name: given for name, given in inputs.items() if name != role}
        yield f"{role} under another role", {**rest, word(random): ids}
        yield f"without {role}", rest
        yield f"{role} without inputs", {**rest, role: []}
        for number in range(len(ids)):
            one, other = ids[:number], ids[number + 1 :]
            yield (
                f"{role}[{number}] of other content",
                {**rest, role: [*one, f"{random.getrandbits(256):064x}", *other]},
            )
            yield f"{role} without its input {number}", {**rest, role: [*one, *other]}
            yield f"{role}[{number}] twice", {**rest, role: [*ids, ids[number]]}
        yield f"{role} as one text", {**rest, role: ["".join(ids)]}
        if role not in unordered:
            yield f"{role} turned round", {**rest, role: ids[::-1]}
            yield f"{role} moved by one", {**rest, role: ids[1:] + ids[:1]}
    for role, next_role in pairwise(roles):
        yield f"{role} and {next_role} swapped", {**inputs, role: inputs[next_role], next_role: inputs[role]}
        moved = {**inputs, role: inputs[role][1:], next_role: [*inputs[next_role], inputs[role][0]]}
        yield f"an input of {role} given to {next_role}", moved
