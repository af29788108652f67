"""Identity: the encoding is injective, and what must not matter does not matter."""

from __future__ import annotations

import enum
import os
import subprocess
import sys
from fractions import Fraction
from typing import Any, get_args

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler import ir
from compiler.canonical import NotCanonical, canonical_name, differences, encode, fingerprint, task_preimage, to_tree
from compiler.trainjob import AdamW, BatchPhase, ModelShape, Parallelism, SchedulePhase, TrainJob


@attrs.frozen(kw_only=True)
class Pair:
    """Two parameters that are easily swapped."""

    low: int = 0
    high: int = 0


@attrs.frozen(kw_only=True)
class Twin:
    """Another class with the fields of Pair."""

    low: int = 0
    high: int = 0


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.binary(max_size=4)
    | st.fractions(max_denominator=20)
)
PARTS = st.builds(Pair, low=st.integers(-2, 2), high=st.integers(-2, 2)) | st.builds(Twin, low=st.integers(-2, 2))
VALUES = st.recursive(
    SCALARS | PARTS,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.frozensets(SCALARS, max_size=3)
    ),
    max_leaves=8,
)


def spell(value: Any) -> Any:
    """A value with the types of all its parts: equal exactly for values that mean the same."""
    if attrs.has(type(value)):
        return type(value).__name__, spell(attrs.asdict(value))
    if isinstance(value, dict):
        return "map", frozenset((key, spell(item)) for key, item in value.items())
    if isinstance(value, frozenset):
        return "set", frozenset(map(spell, value))
    if isinstance(value, tuple):
        return "seq", tuple(map(spell, value))
    return type(value).__name__, repr(value + 0.0 if isinstance(value, float) else value)


def identity(value: Any) -> str:
    return fingerprint(to_tree(value))


@settings(max_examples=300, deadline=None)
@given(VALUES, VALUES)
def test_two_values_share_an_encoding_exactly_if_they_are_the_same(one: Any, other: Any) -> None:
    """Injective, and a function."""
    assert (encode(to_tree(one)) == encode(to_tree(other))) == (spell(one) == spell(other))


@settings(max_examples=100, deadline=None)
@given(st.lists(VALUES, min_size=2, max_size=5))
def test_no_two_lists_run_into_each_other(values: list[Any]) -> None:
    """Where one part ends and the next begins is part of the encoding, at any depth."""
    groupings = [tuple(values)]
    groupings += [(tuple(values[:cut]), tuple(values[cut:])) for cut in range(1, len(values))]
    groupings += [(*values[:cut], tuple(values[cut:])) for cut in range(len(values))]
    spelled = {spell(grouping) for grouping in groupings}
    assert len({identity(grouping) for grouping in groupings}) == len(spelled)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=5), st.randoms())
def test_the_order_of_a_mapping_does_not_matter(value: dict[str, Any], random: Any) -> None:
    """Of a dictionary and of the set of its keys."""
    items = list(value.items())
    random.shuffle(items)
    assert identity(dict(items)) == identity(value)
    assert identity(set(dict(items))) == identity(set(value))


# ---------------------------------------------------------------- failures measured in other tools


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a;b",), ("a", "b")),
        (("ab", "c"), ("a", "bc")),
        (1, True),
        (1, 1.0),
        (1, "1"),
        (0, False),
        (1.0, "1.0"),
        (None, ""),
        (None, ()),
        ("", b""),
        ("61", b"a"),
        (Fraction(1, 2), 0.5),
        (Fraction(1), 1),
        ((1, 2), {1, 2}),
        ((1, 2), (2, 1)),
        ((), frozenset()),
        ({}, ()),
        ({"a": 1}, (("a", 1),)),
        ({1: "a"}, {"1": "a"}),
        ((1,), 1),
        (((),), ()),
        (0.1 + 0.2, 0.3),
        ("e\u0301", "é"),
        (Pair(low=1, high=2), Pair(low=2, high=1)),
        (Pair(low=1), Twin(low=1)),
        (Pair(low=1), {"low": 1}),
        (Pair(), "Pair"),
    ],
)
def test_values_that_are_confused_elsewhere(one: Any, other: Any) -> None:
    """Each of these pairs shares a hash in a tool of the field, or would in a careless encoding."""
    assert identity(one) != identity(other)


def test_lists_and_tuples_are_the_same_sequence() -> None:
    """A plan that went through JSON keeps its fingerprints."""
    assert identity([1, [2]]) == identity((1, (2,)))


def test_two_optimizers_with_equal_fields_are_two() -> None:
    """A part is known by its class, too."""

    @attrs.frozen(kw_only=True)
    class Lion:
        beta1: float = 0.9
        beta2: float = 0.95
        eps: float = 1e-8
        weight_decay: float = 0.1
        clip_norm: float = 1.0

    assert attrs.asdict(Lion()) == attrs.asdict(AdamW())
    assert identity(Lion()) != identity(AdamW())
    assert identity(Lion(beta1=0.8)) != identity(AdamW(beta1=0.8))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"lr": float("nan")}, r"\$\.lr: nan"),
        ((1, float("inf")), r"\$\[1\]: inf"),
        ({"a": [{"b": print}]}, r"\$\.a\[0\]\.b: a builtin_function_or_method"),
        ((lambda: 1,), r"\$\[0\]: a function"),
        (object(), r"\$: a object"),
        ({"kind": Pair}, r"\$\.kind: a type"),
        ({object()}, r"\$\{\}: a object"),
        (Pair(low=object()), r"\$\.low: a object"),
        (complex(1), r"\$: a complex"),
    ],
)
def test_what_has_no_identity_is_refused_by_its_path(value: Any, path: str) -> None:
    """Never a hash of an address or of a name."""
    with pytest.raises(NotCanonical, match=path):
        to_tree(value)


def test_zeros_of_both_signs_are_equal_and_the_same() -> None:
    """They compare equal, and nothing that is computed from a spec tells them apart."""
    assert identity(-0.0) == identity(0.0)


class Colour(int, enum.Enum):
    """A number with a text of its own, which Python has changed between versions."""

    RED = 1


class Word(str, enum.Enum):  # noqa: UP042 - the kind whose text differs between versions of Python
    """A text with a text of its own."""

    RED = "red"


def test_numbers_and_texts_of_other_classes_are_what_they_hold() -> None:
    """NumPy's numbers and members of enumerations have texts of their own, and those are not the value."""
    assert identity(np.float64(0.1)) == identity(0.1)
    assert to_tree(Colour.RED) == ["int", "1"]
    assert to_tree(Word.RED) == ["str", "red"]
    assert type(to_tree(Word.RED)[1]) is str


def test_halves_of_surrogate_pairs_have_an_identity() -> None:
    """A name of a file that is not UTF-8 comes with them."""
    assert identity("caf\udce9") != identity("caf\udce8")


# ---------------------------------------------------------------- operators


@attrs.frozen(kw_only=True)
class Rate:
    """Numbers with fractions, one as it is and one that is brought to its type."""

    value: float
    factor: float = 1
    limit: float | None = None
    cap: float = attrs.field(default=2, converter=float)


def test_a_whole_number_in_a_field_for_fractions_is_that_fraction() -> None:
    """A plan reads it back as 1.0 from JSON; the task must stay the same."""
    assert identity(Rate(value=1)) == identity(Rate(value=1.0)) != identity(Rate(value=True))
    assert identity(Rate(value=1, limit=3)) == identity(Rate(value=1, limit=3.0))
    assert to_tree(Rate(value=1, factor=1.0, cap=2)) == ["part", "Rate", {"value": ["float", "1.0"]}]
    with pytest.raises(NotCanonical, match=r"\$\.value: 10+ is no float"):
        to_tree(Rate(value=10**400))


def renamed_pair(**fields: str) -> Any:
    """Pair as it would be after its fields were given other names."""

    @attrs.frozen(kw_only=True)
    class Couple:
        canonical = "Pair"
        lowest: int = ir.renamed("low", default=0)
        highest: int = ir.renamed("high", default=0)

    return Couple(**fields)


def test_a_class_and_its_fields_may_be_renamed() -> None:
    """Fingerprints know both by the names that they had first."""
    assert identity(renamed_pair(lowest=1, highest=2)) == identity(Pair(low=1, high=2))
    assert identity(renamed_pair(lowest=2, highest=1)) != identity(Pair(low=1, high=2))


def test_what_derives_from_a_renamed_class_has_a_name_of_its_own() -> None:
    """Else it could not be told from it."""
    heir = attrs.frozen(kw_only=True)(type("Heir", (type(renamed_pair()),), {}))
    assert identity(heir()) != identity(Pair())


def test_two_fields_cannot_have_one_name() -> None:
    """A field that takes the former name of another says so when it is first hashed."""

    @attrs.frozen(kw_only=True)
    class Clash:
        first: int = ir.renamed("name", default=0)
        name: int = 0

    with pytest.raises(AssertionError, match="one canonical name"):
        to_tree(Clash())


def test_no_two_parts_of_operators_have_one_name() -> None:
    """Equal fields under one name would be one identity."""
    classes = set().union(*(parts_of(cls) for cls in ir.OPERATORS.values()))
    names = [canonical_name(cls) for cls in classes]
    assert len(names) == len(set(names)) > 10


def parts_of(cls: type) -> set[type]:
    """The classes of all objects that an object of a class may hold, at any depth."""
    found: set[type] = set()
    todo = [field.type for field in attrs.fields(attrs.resolve_types(cls))]
    while todo:
        kind = todo.pop()
        todo += get_args(kind)
        if isinstance(kind, type) and attrs.has(kind) and kind not in found:
            found.add(kind)
            todo += [field.type for field in attrs.fields(attrs.resolve_types(kind))]
    return found


def test_the_order_of_an_unordered_role_does_not_matter() -> None:
    """Held-out documents are read in the order of their ids, whatever data set they stand in."""
    op = ir.HeldOutText()
    one, other = ({"documents": ids, "tokenizer": ["t"]} for ids in (["a", "b"], ["b", "a"]))
    assert fingerprint(task_preimage(op, one)) == fingerprint(task_preimage(op, other))
    assert task_preimage(op, one) == task_preimage(op, other)
    ordered = ir.Encode(dataset="d")
    assert fingerprint(task_preimage(ordered, one)) != fingerprint(task_preimage(ordered, other))


def versioned(version: int, **fields: Any) -> Any:
    """An operator of that version with fields `name=default`, as if declared in compiler/ir.py."""
    body = {"__annotations__": dict.fromkeys(fields, "int"), **fields}
    cls = ir.operator("test.op", version)(type("Op", (ir.Operator,), body))
    del ir.OPERATORS["test.op"]
    return cls


def test_a_new_field_with_a_default_changes_no_fingerprint() -> None:
    """Until it is given another value."""
    before, after = versioned(1, size=1), versioned(1, size=1, extra=7)
    assert identity(before(size=5)) == identity(after(size=5))
    assert identity(before(size=5)) != identity(after(size=5, extra=8))


def test_a_default_that_is_written_out_is_left_out() -> None:
    """Also one made by a factory."""
    assert to_tree(versioned(1, size=1)(size=1)) == ["op", "test.op/1", {}]
    job = job_of()
    assert identity(job) == identity(attrs.evolve(job, optimizer=AdamW(beta1=0.9), seed=0))


def test_a_new_version_of_an_operator_is_another_operator() -> None:
    """So a changed default can be told."""
    assert identity(versioned(1, size=1)()) != identity(versioned(2, size=1)())


def test_the_order_of_fields_does_not_matter() -> None:
    """Fields may be moved about in the source."""
    one, other = versioned(1, a=0, b=0), versioned(1, b=0, a=0)
    assert identity(one(a=1, b=2)) == identity(other(b=2, a=1))
    assert identity(one(a=1, b=2)) != identity(one(a=2, b=1))


def test_each_semantic_field_of_each_operator_enters() -> None:
    """An operator without values differs from one that has one: nothing is listed by hand and forgotten."""
    for cls in ir.OPERATORS.values():
        for field in attrs.fields(cls):
            probe = object.__new__(cls)
            for other in attrs.fields(cls):
                object.__setattr__(probe, other.name, None)
            plain = identity(probe)
            object.__setattr__(probe, field.name, "changed")
            semantic = field.metadata.get("role", "semantic") == "semantic"
            assert (identity(probe) != plain) == semantic, f"{cls.__name__}.{field.name}"


def job_of(**changes: Any) -> TrainJob:
    shape = ModelShape(
        vocab_size=300, hidden_size=8, intermediate_size=16, num_layers=1, num_heads=2, num_kv_heads=2,
        head_dim=4, max_positions=16,
    )  # fmt: skip
    fields: dict[str, Any] = {
        "stage": "base",
        "kind": "pretrain",
        "model": shape,
        "schedule": (SchedulePhase(shape="constant", steps=3, start=1e-3, end=1e-3),),
        "batches": (BatchPhase(steps=3, global_batch=2, sequence_length=16),),
    }
    return TrainJob(**{**fields, **changes})


def test_how_a_job_runs_and_what_it_is_called_do_not_enter() -> None:
    """Devices, micro batches, checkpoints and the stage's name."""
    plain = identity(ir.TrainTorch(job=job_of()))
    same = job_of(stage="other", micro_batch=8, parallelism=Parallelism(data=4), kernels="fused", checkpoint_every=5)
    assert identity(ir.TrainTorch(job=same)) == plain
    for changes in ({"seed": 1}, {"precision": "bf16"}, {"start_from": "state"}, {"save_at": 2}):
        assert identity(ir.TrainTorch(job=job_of(**changes))) != plain


def test_where_a_source_lies_does_not_enter_but_its_content_does() -> None:
    """The digest stands for the files."""
    reader = ir.Reader(source="s", format="jsonl", digest="bytes:1", location="here/*.jsonl")
    moved = attrs.evolve(reader, location="/elsewhere/*.jsonl")
    assert identity(moved) == identity(reader)
    assert identity(attrs.evolve(reader, digest="bytes:2")) != identity(reader)


def test_inputs_enter_by_role_and_order() -> None:
    """Swapped inputs, another role or one input twice are other tasks."""
    op = ir.Encode(dataset="code")
    seen = [
        {"documents": ["1"], "tokenizer": ["2"]},
        {"documents": ["2"], "tokenizer": ["1"]},
        {"documents": ["1", "2"]},
        {"documents": ["2", "1"]},
        {"documents": ["1", "1", "2"]},
        {"documents": ["12"]},
        {},
    ]
    assert len({fingerprint(task_preimage(op, inputs)) for inputs in seen}) == len(seen)
    turned = dict(reversed(seen[0].items()))
    assert fingerprint(task_preimage(op, turned)) == fingerprint(task_preimage(op, seen[0]))


PROGRAM = """
from fractions import Fraction
from compiler import ir
from compiler.canonical import fingerprint, to_tree
share = ir.DatasetShare(dataset="a", share=Fraction(1, 3))
value = {"set": {"x", "y", "z", 1, 2.5, None}, "map": {"b": 1, "a": b"2"}, "seq": (share, 0.1, True)}
print(fingerprint(to_tree(value)))
"""


def test_fingerprints_are_the_same_in_every_process() -> None:
    """Python's seed of hashes orders sets and does not reach them. The value itself is pinned: fp1 never moves."""
    found = set()
    for seed in ("0", "1", "4242"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True)
        found.add(done.stdout.strip())
    assert found == {"836a02676249eb6f9c6745f5c363cf17c9f363b6e5c2c515ee3db226d1412930"}


# ---------------------------------------------------------------- differences


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, [("b", "2", "3")]),
        ({"a": 1, "b": 2}, {"a": 4, "b": 3}, [("a", "1", "4"), ("b", "2", "3")]),
        ({"a": 1}, {"b": 1}, [("a", "1", None), ("b", None, "1")]),
        ((1, 2, 3), (1, 2, 4), [("[2]", "3", "4")]),
        ((1, 2, 3), (5, 2, 4), [("[0]", "1", "5"), ("[2]", "3", "4")]),
        ({"a": (1, {"b": 2})}, {"a": (1, {"b": 3})}, [("a[1].b", "2", "3")]),
        ({"a": 1}, {"a": 1.0}, [("a", "1", "1.0")]),
        ({"a": 1}, {"a": "1"}, [("a", ["int", "1"], ["str", "1"])]),
        ({"a": ""}, {"a": None}, [("a", "", "null")]),
        ({1: "a"}, {1: "b"}, [("[1]", "a", "b")]),
        (Pair(low=1, high=2), Pair(low=1, high=3), [("high", "2", "3")]),
        (Pair(low=1), Pair(low=1, high=3), [("high", None, "3")]),
        ((Pair(low=1), Pair(low=2)), (Pair(low=1), Pair(low=3)), [("[1].low", "2", "3")]),
    ],
)
def test_differences_name_the_narrowest_places(before: Any, after: Any, expected: list[Any]) -> None:
    """Each place once, with what stood there and what stands there."""
    assert differences(to_tree(before), to_tree(after)) == expected


def test_sequences_of_other_lengths_differ_as_a_whole() -> None:
    """An insertion does not read as a change of all that follows."""
    ((path, before, after),) = differences(to_tree({"a": (1, 2)}), to_tree({"a": (0, 1, 2)}))
    assert path == "a"
    assert (len(before[1]), len(after[1])) == (2, 3)


def test_differences_of_two_tasks() -> None:
    """Fields of the operator by their names, inputs by their roles."""
    before = task_preimage(ir.Edges(granularity="file", exact=True, key=0, bands=16), {"keys": ["a"], "kept": ["b"]})
    after = task_preimage(ir.Edges(granularity="file", exact=False, key=0, bands=8), {"keys": ["a"], "kept": ["c"]})
    found = differences(before, after)
    assert found == [
        ("bands", "16", "8"),
        ("exact", "true", "false"),
        ("inputs.kept[0]", "b", "c"),
    ]


def test_another_operator_differs_as_a_whole() -> None:
    """Or in its version: then the version is the difference."""
    one = task_preimage(ir.Pack(dataset="a"), {})
    other = task_preimage(ir.Pack(dataset="a", seed=1), {})
    assert differences(one, other) == [("seed", None, "1")]
    (found,) = differences(to_tree(versioned(1, size=1)()), to_tree(versioned(2, size=1)()))
    assert found == ("kind", "test.op/1", "test.op/2")


@settings(max_examples=100, deadline=None)
@given(VALUES, VALUES)
def test_there_are_differences_exactly_where_fingerprints_differ(one: Any, other: Any) -> None:
    """And they mirror: what was before is after."""
    there, back = differences(to_tree(one), to_tree(other)), differences(to_tree(other), to_tree(one))
    assert bool(there) == (identity(one) != identity(other))
    assert sorted(there, key=str) == sorted(((path, old, new) for path, new, old in back), key=str)
