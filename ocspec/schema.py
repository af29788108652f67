"""JSON Schema of the language: every object, its fields, their units, roles and defaults.

For editors, documentation and tools in other languages. Not a way to write specs: those are Python, and
nothing here reads JSON. `plain` gives the form that the schema describes: fields beside a `kind`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, get_args

from pydantic.fields import FieldInfo
from pydantic.json_schema import models_json_schema

from ocspec.base import FieldRole, Spec, Unit, concrete_kinds
from ocspec.experiment import Experiment

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema of an Experiment and of everything that it can hold, by kind under `$defs`.

    Beside the standard keywords, a field has `x-role` (semantic, execution or doc) and, where it counts
    something, `x-unit`; an object has `x-change-class`: which kind of task a change of it can touch.

    >>> schema = json_schema()["$defs"]
    >>> schema["Admit"]["properties"]["max_bytes"]["x-unit"]
    'bytes'
    >>> [ref["$ref"] for ref in schema["Tokenizer"]["oneOf"]]
    ['#/$defs/TrainedBPE', '#/$defs/PretrainedTokenizer']
    """
    reachable = parts(Experiment)
    written = [cls for cls in reachable if not cls.is_base()]
    _, generated = models_json_schema([(cls, "validation") for cls in written])
    definitions: dict[str, Any] = generated["$defs"]
    for cls in reachable:
        if cls.is_base():
            definitions[cls.__name__] = _one_of(cls)
        else:
            _complete(cls, definitions[cls.__name__])
    return {
        "$schema": DIALECT,
        "title": "ocspec experiment",
        "$ref": f"#/$defs/{Experiment.__name__}",
        "$defs": dict(sorted(definitions.items())),
    }


def plain(value: Any) -> Any:
    """A spec as the JSON that the schema describes; exact fractions become strings.

    >>> from ocspec.training import WSD
    >>> plain(WSD(peak=3e-4, warmup_steps=2_000))
    {'kind': 'WSD', 'peak': 0.0003, 'warmup_steps': 2000}
    """
    if isinstance(value, Spec):
        fields = {name: plain(getattr(value, name)) for name in type(value).model_fields}
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Fraction) else value


def parts(cls: type[Spec]) -> list[type[Spec]]:
    """The class and every class of the language that its fields can hold, each once."""
    found: dict[type[Spec], None] = {}
    waiting = [cls]
    while waiting:
        at = waiting.pop(0)
        if at in found:
            continue
        found[at] = None
        waiting += [kind for kind in kinds_of(at) if kind is not at]
        waiting += [held for info in at.model_fields.values() for held in _held(info.annotation)]
    return list(found)


def kinds_of(cls: type[Spec]) -> list[type[Spec]]:
    """What can be written where `cls` is asked for: itself or, for a base, what derives from it."""
    return [kind for kind in concrete_kinds(cls) if kind.__module__.startswith("ocspec.")]


def _held(annotation: Any) -> list[type[Spec]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    return [held for argument in get_args(annotation) for held in _held(argument)]


def _one_of(base: type[Spec]) -> dict[str, Any]:
    mapping = {kind.__name__: f"#/$defs/{kind.__name__}" for kind in kinds_of(base)}
    return {
        "title": base.__name__,
        "description": (base.__doc__ or "").strip(),
        "oneOf": [{"$ref": reference} for reference in mapping.values()],
        "discriminator": {"propertyName": "kind", "mapping": mapping},
    }


def _complete(cls: type[Spec], definition: dict[str, Any]) -> None:
    """Add to what pydantic wrote the kind, the roles, the units and defaults in the form of `plain`."""
    properties = definition.setdefault("properties", {})
    for name, info in cls.model_fields.items():
        field = properties[name]
        if "gt" in field:  # pydantic leaves the bound of a union beside it, where it is no keyword
            bound = field.pop("gt")
            numbers = [branch for branch in field["anyOf"] if branch["type"] in {"number", "integer"}]
            for branch in numbers:
                branch["exclusiveMinimum"] = bound
        field["x-role"] = next((mark.name for mark in info.metadata if isinstance(mark, FieldRole)), "semantic")
        unit = _unit(info)
        if unit:
            field["x-unit"] = unit
        if not info.is_required():
            field["default"] = plain(info.default)
    definition["properties"] = {"kind": {"const": cls.__name__}, **properties}
    definition["required"] = ["kind", *definition.get("required", [])]
    definition["x-change-class"] = cls.change_class


def _unit(info: FieldInfo) -> str:
    marks = [*info.metadata, *_marks(info.annotation)]
    return next((mark.name for mark in marks if isinstance(mark, Unit)), "")


def _marks(annotation: Any) -> list[Any]:
    inner = [mark for argument in get_args(annotation) for mark in _marks(argument)]
    return [*getattr(annotation, "__metadata__", ()), *inner]
