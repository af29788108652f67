"""described: the experiment that a plan's `spec` describes, as an object again. The inverse of `ocspec.base.describe`.

Plans hold plain data, so that they can be read without running a spec; what has to be changed, written as code or
compiled again needs objects. Where they were made is not in a plan: they have no file and line.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin

from compiler.errors import UserError
from ocspec.base import Problem, Spec, SpecError, concrete_kinds, former_names
from ocspec.experiment import Experiment
from ocspec.schema import parts


def experiment_of(described: dict[str, Any]) -> Experiment:
    """The experiment that `describe` described: `experiment_of(describe(x)) == x`.

    Fields that have been renamed since go by the names that they have now. Raises UserError for a kind of object that
    this version's language does not have, SpecError for fields that it does not have and values that it does not take.
    """
    try:
        made = _spec(described)
    except SpecError as error:
        placeless = [Problem(one.what, origin=None, path=one.path, fix=one.fix) for one in error.problems]
        raise SpecError(placeless) from None
    assert isinstance(made, Experiment), type(made)
    return made


def _spec(described: dict[str, Any]) -> Spec:
    cls = kinds().get(described["kind"])
    if cls is None:
        what = f"the spec holds a {described['kind']}, which this ocspec does not have"
        raise UserError(what, fix="compile the spec again")
    known, present = cls.model_fields, former_names(cls)
    fields = {present.get(name, name): value for name, value in described["fields"].items()}
    made = cls(
        **{name: _value(value, known[name].annotation if name in known else None) for name, value in fields.items()}
    )
    made._origin = None
    return made


def _value(value: Any, annotation: Any) -> Any:
    if isinstance(value, dict) and "kind" in value and "fields" in value:
        return _spec(value)
    if isinstance(value, dict):
        keyed = value.get("keyed")
        entry = _arguments(annotation)[-1:]
        if keyed is not None:
            return tuple(_value(item, None) for item in keyed.values())
        return {key: _value(item, entry[0] if entry else None) for key, item in value["map"].items()}
    if isinstance(value, list):
        inner = _arguments(annotation)
        return tuple(_value(item, inner[0] if inner else None) for item in value)
    if isinstance(value, str) and Fraction in _alternatives(annotation):
        return Fraction(value)
    return value


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)


def _arguments(annotation: Any) -> tuple[Any, ...]:
    """Those of the tuple or mapping that an annotation has among its alternatives."""
    found: Iterator[tuple[Any, ...]] = (
        get_args(one) for one in _alternatives(annotation) if get_origin(one) in {tuple, dict}
    )
    return next(found, ())


@cache
def kinds() -> dict[str, type[Spec]]:
    """The classes of the language by what plans call them."""
    return {cls.kind(): cls for base in parts(Experiment) for cls in concrete_kinds(base)}
