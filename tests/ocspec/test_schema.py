"""Tests of the JSON schema: it describes every object of the language, and it tells right from wrong."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from typing import Any

import pytest

from ocspec.base import Spec, concrete_kinds
from ocspec.experiment import Experiment
from ocspec.mixture import Mixture, Part
from ocspec.refinement import Admit, Deduplicate, Downsample
from ocspec.schema import json_schema, parts, plain
from ocspec.sources import Source
from ocspec.training import Stage

SCHEMA = json_schema()
DEFINITIONS = SCHEMA["$defs"]
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def holds(schema: dict[str, Any], value: Any) -> bool:
    """Whether a value fits, by the keywords that occur in the schema."""
    tests = {
        "$ref": lambda ref: holds(DEFINITIONS[ref.removeprefix("#/$defs/")], value),
        "oneOf": lambda branches: sum(holds(branch, value) for branch in branches) == 1,
        "anyOf": lambda branches: any(holds(branch, value) for branch in branches),
        "const": lambda const: value == const,
        "enum": lambda values: value in values,
        "type": lambda name: isinstance(value, TYPES[name]) and not (isinstance(value, bool) and name != "boolean"),
        "required": lambda names: all(name in value for name in names),
        "properties": lambda fields: all(holds(fields[k], v) for k, v in value.items() if k in fields),
        "items": lambda items: all(holds(items, item) for item in value),
        "minItems": lambda least: len(value) >= least,
        "minLength": lambda least: len(value) >= least,
        "maxLength": lambda most: len(value) <= most,
        "minProperties": lambda least: len(value) >= least,
        "pattern": lambda pattern: re.search(pattern, value) is not None,
        "minimum": lambda least: value >= least,
        "maximum": lambda most: value <= most,
        "exclusiveMinimum": lambda bound: value > bound,
        "exclusiveMaximum": lambda bound: value < bound,
    }
    if "type" in schema and not tests["type"](schema["type"]):
        return False
    return all(test(schema[keyword]) for keyword, test in tests.items() if keyword in schema) and _no_more(
        schema, value
    )


def _no_more(schema: dict[str, Any], value: Any) -> bool:
    extra = schema.get("additionalProperties", True)
    unknown = [k for k in value if k not in schema.get("properties", {})] if isinstance(value, dict) else []
    return not unknown if extra is False else extra is True or all(holds(extra, value[k]) for k in unknown)


def keywords(schema: Any) -> set[str]:
    """Every keyword used in a schema, at any depth; names of fields are no keywords."""
    if isinstance(schema, list):
        return {found for item in schema for found in keywords(item)}
    if not isinstance(schema, dict):
        return set()
    inner = [v for k, v in schema.items() if k not in {"properties", "$defs", "default", "mapping", "discriminator"}]
    inner += [v for k in ("properties", "$defs") for v in schema.get(k, {}).values()]
    return set(schema) | {found for item in inner for found in keywords(item)}


def test_the_schema_is_plain_json_and_always_the_same() -> None:
    """It can be written beside a release and compared."""
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert json.dumps(json_schema()) == json.dumps(SCHEMA)


def test_only_keywords_of_json_schema_and_our_own_are_used() -> None:
    """A keyword that no validator knows would check nothing."""
    annotations = {"$schema", "$defs", "title", "description", "default", "discriminator", "format"}
    checks = {
        "$ref", "oneOf", "anyOf", "const", "enum", "type", "required", "properties", "items", "minItems",
        "minLength", "maxLength", "minProperties", "pattern", "minimum", "maximum", "exclusiveMinimum",
        "exclusiveMaximum", "additionalProperties",
    }  # fmt: skip
    ours = {"x-role", "x-unit", "x-change-class"}
    assert keywords(SCHEMA) <= annotations | checks | ours


def test_every_class_reachable_from_an_experiment_is_defined() -> None:
    """Also those that stand only behind a base class."""
    assert {cls.__name__ for cls in parts(Experiment)} == set(DEFINITIONS)
    assert {"Admit", "WebRecall", "FineTune", "MdEval", "TrainedBPE", "AdamW", "Package"} <= set(DEFINITIONS)


@pytest.mark.parametrize("base", [cls for cls in parts(Experiment) if cls.is_base()], ids=lambda cls: cls.__name__)
def test_a_base_is_one_of_its_kinds_told_apart_by_kind(base: type[Spec]) -> None:
    """With a discriminator, as editors want it."""
    names = [kind.__name__ for kind in concrete_kinds(base) if kind.__module__.startswith("ocspec.")]
    definition = DEFINITIONS[base.__name__]
    assert [branch["$ref"].split("/")[-1] for branch in definition["oneOf"]] == names
    assert definition["discriminator"]["propertyName"] == "kind"
    assert list(definition["discriminator"]["mapping"]) == names
    for name in names:
        assert DEFINITIONS[name]["properties"]["kind"] == {"const": name}


@pytest.mark.parametrize("name", sorted(name for name in DEFINITIONS if "properties" in DEFINITIONS[name]))
def test_every_object_and_every_field_is_described(name: str) -> None:
    """The reference is generated from this, so nothing may be missing."""
    definition = DEFINITIONS[name]
    assert definition["description"]
    assert definition["x-change-class"] in {"data", "train", "eval", "doc"}
    for field, schema in definition["properties"].items():
        if field != "kind":
            assert schema["description"], f"{name}.{field}"
            assert schema["x-role"] in {"semantic", "execution", "doc"}


@pytest.mark.parametrize(
    ("path", "role", "unit"),
    [
        ("Admit.max_bytes", "semantic", "bytes"),
        ("Downsample.caps", "semantic", "bytes"),
        ("Declared.tokens", "semantic", "tokens"),
        ("Batches.global_batch", "semantic", "sequences"),
        ("WSD.warmup_steps", "semantic", "optimizer steps"),
        ("Anneal.start_step", "semantic", "optimizer steps"),
        ("Pretrain.micro_batch", "execution", "sequences"),
        ("Parallelism.tensor", "execution", None),
        ("Parquet.path", "execution", None),
        ("Experiment.note", "doc", None),
        ("WSD.peak", "semantic", None),
    ],
)
def test_fields_carry_role_and_unit(path: str, role: str, unit: str | None) -> None:
    """As declared in the language."""
    kind, field = path.split(".")
    schema = DEFINITIONS[kind]["properties"][field]
    assert (schema["x-role"], schema.get("x-unit")) == (role, unit)


def test_defaults_fit_their_own_schema() -> None:
    """Objects among them carry their kind like any other."""
    for name, definition in DEFINITIONS.items():
        for field, schema in definition.get("properties", {}).items():
            if "default" in schema:
                assert holds(schema, schema["default"]), f"{name}.{field}"


def test_plain_objects_fit() -> None:
    """And say what they are."""
    near = plain(Deduplicate())
    assert near["kind"] == "Deduplicate"
    assert near["near"]["kind"] == "MinHash"
    mixture = plain(Mixture(parts=(Part(dataset="a", weight=Fraction(1, 3)), Part(dataset="b", weight=2))))
    assert [part["weight"] for part in mixture["parts"]] == ["1/3", 2]
    assert holds({"$ref": "#/$defs/Step"}, near)
    assert holds({"$ref": "#/$defs/Mixture"}, mixture)
    assert holds({"$ref": "#/$defs/Step"}, plain(Downsample(caps={"java": 1})))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_bytes": 8},
        {"kind": "Admit", "max_bytes": "8"},
        {"kind": "Admit", "max_bytes": 0},
        {"kind": "Admit", "max_byte": 8},
        {"kind": "Admit", "doc_types": ["prose"]},
        {"kind": "Downsample"},
        {"kind": "Downsample", "caps": {"java": "all"}},
        {"kind": "Step"},
        {"kind": "WSD", "peak": 1.0, "warmup_steps": 1},
    ],
)
def test_what_the_language_refuses_does_not_fit(wrong: dict[str, Any]) -> None:
    """A step of another shape is none."""
    assert holds({"$ref": "#/$defs/Step"}, plain(Admit()))
    assert not holds({"$ref": "#/$defs/Step"}, wrong)


@pytest.mark.parametrize("weight", [0, -1, True, None])
def test_the_bound_of_a_weight_holds_for_each_type(weight: Any) -> None:
    """Pydantic leaves it out of unions."""
    part = {"kind": "Part", "dataset": "a", "weight": weight}
    assert not holds({"$ref": "#/$defs/Part"}, part)
    assert holds({"$ref": "#/$defs/Part"}, {**part, "weight": 0.5})


def test_classes_made_elsewhere_do_not_enter() -> None:
    """The schema is that of the language, whatever else is loaded."""

    class Homemade(Admit):
        """A step of one's own."""

    assert Homemade in concrete_kinds(Admit)
    assert json_schema() == SCHEMA


@pytest.mark.parametrize("base", [Source, Stage])
def test_bases_themselves_are_never_written(base: type[Spec]) -> None:
    """They have no fields in the schema."""
    assert "properties" not in DEFINITIONS[base.__name__]
