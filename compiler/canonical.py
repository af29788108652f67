"""Identity: an injective encoding of the typed IR, and the fingerprint `fp1` over it.

It hashes what an operator is, never the SQL or the scripts that are emitted for it. The pre-image is a tree of
tagged JSON that is stored beside the artefact, so "why did this rebuild?" is a diff of two pre-images.

A tree is `[tag, payload]`: null, bool, int, float (shortest repr), str, bytes (hex), fraction, seq, set, map, or
`[op-or-part, name, {field: tree}]` for an attrs object. Fields marked execution or doc are left out, and so is a
value equal to its declared default: a new field with a default changes no fingerprint. A field or part that was renamed
keeps its oldest name here (`aka` in a field's metadata, `canonical` on a class).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any

import attrs

from compiler.ir import Operator

FINGERPRINT = "fp1"
Tree = list[Any]


class NotCanonical(TypeError):
    """A value that has no canonical encoding; the message names its path."""


def to_tree(value: Any, path: str = "$") -> Tree:
    """The tagged tree of a value.

    >>> to_tree(("a;b",)) == to_tree(("a", "b"))
    False
    >>> to_tree(1), to_tree(True), to_tree(1.0)
    (['int', '1'], ['bool', 'true'], ['float', '1.0'])
    """
    if value is None:
        return ["null", ""]
    if isinstance(value, bool):
        return ["bool", "true" if value else "false"]
    if isinstance(value, int):
        return ["int", int.__repr__(value)]  # of an enumeration's member, too: its own text is Python's affair
    if isinstance(value, float):
        return ["float", _float(value, path)]
    if isinstance(value, str):
        return ["str", str.__str__(value)]
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, Fraction):
        return ["fraction", str(value)]
    return _container(value, path)


def _float(value: float, path: str) -> str:
    if not math.isfinite(value):
        raise NotCanonical(f"{path}: {value} has no identity")
    return float.__repr__(float(value) + 0.0)  # -0.0 equals 0.0; NumPy's numbers have a text of their own


def _container(value: Any, path: str) -> Tree:
    if isinstance(value, list | tuple):
        return ["seq", [to_tree(item, f"{path}[{i}]") for i, item in enumerate(value)]]
    if isinstance(value, set | frozenset):
        return ["set", sorted((to_tree(item, f"{path}{{}}") for item in value), key=encode)]
    if isinstance(value, Mapping):
        pairs = [[to_tree(k, path), to_tree(v, f"{path}.{k}")] for k, v in value.items()]
        return ["map", sorted(pairs, key=lambda pair: encode(pair[0]))]
    if attrs.has(type(value)):
        return _object(value, path)
    raise NotCanonical(f"{path}: a {type(value).__name__} has no canonical encoding")


def _object(value: Any, path: str) -> Tree:
    cls = type(value)
    fields = {}
    for field in _fields(cls):  # type: ignore[arg-type]  # a class is hashable
        held = getattr(value, field.attribute)
        if field.is_float and type(held) is int:
            held = _as_float(held, f"{path}.{field.attribute}")
        tree = to_tree(held, f"{path}.{field.attribute}")
        if tree != field.default:
            fields[field.name] = tree
    if isinstance(value, Operator):
        return ["op", f"{cls.op_id}/{cls.op_version}", fields]
    return ["part", canonical_name(cls), fields]


def canonical_name(cls: type) -> str:
    """The name that a part is known by: its class's, or the one that the class had first and keeps as `canonical`.

    A class that derives from another does not inherit its name.

    >>> class Lion:
    ...     pass
    >>> class Tiger:
    ...     canonical = "Lion"
    >>> canonical_name(Lion), canonical_name(Tiger), canonical_name(type("Cub", (Tiger,), {}))
    ('Lion', 'Lion', 'Cub')
    """
    return str(cls.__dict__.get("canonical", cls.__name__))


@attrs.frozen
class _Field:
    """What of a field enters: where its value is, the oldest name that it had, and the tree that is left out."""

    attribute: str
    name: str
    default: Tree | None
    is_float: bool


@cache
def _fields(cls: type) -> tuple[_Field, ...]:
    """The semantic fields of a class."""
    found = tuple(
        _Field(field.name, field.metadata.get("aka", field.name), _default(field), _is_float(field))
        for field in attrs.fields(cls)
        if field.metadata.get("role", "semantic") == "semantic"
    )
    assert len({field.name for field in found}) == len(found), f"two fields of {cls.__name__} have one canonical name"
    return found


def _is_float(field: attrs.Attribute[Any]) -> bool:
    """Whether a field is declared to hold a number with a fraction, so that 1 and 1.0 mean the same in it.

    A plan reads the 1 back from JSON as what the field is declared to be.
    """
    declared = field.type.__name__ if isinstance(field.type, type) else str(field.type)
    return declared in {"float", "float | None"}


def _as_float(value: int, path: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise NotCanonical(f"{path}: {value} is no float") from None


def _default(field: attrs.Attribute[Any]) -> Tree | None:
    """The tree of the declared default as the object would hold it; None where it depends on the object."""
    default: Any = field.default
    if default is attrs.NOTHING or getattr(default, "takes_self", False):
        return None
    if hasattr(default, "factory"):  # attrs.Factory, which its type stubs call a function
        default = default.factory()
    if field.converter is not None:
        default = field.converter(default)  # type: ignore[operator]  # a function in all that has an identity
    if _is_float(field) and type(default) is int:
        default = float(default)
    return to_tree(default, f"$.{field.name}")


def encode(tree: Tree) -> bytes:
    """Length-prefixed bytes of a tree; no two different trees share them. Texts may hold halves of surrogate pairs."""
    out: list[bytes] = []
    for part in tree:
        _write(part, out)
    return b"".join(out)


def _write(part: Any, out: list[bytes]) -> None:
    if isinstance(part, str):
        data = part.encode("utf-8", "surrogatepass")
        out.append(b"s%d:%b" % (len(data), data))
    elif isinstance(part, dict):
        out.append(b"d%d:" % len(part))
        for key in sorted(part):
            _write(key, out)
            _write(part[key], out)
    else:
        if not isinstance(part, list):
            raise NotCanonical(f"a {type(part).__name__} is no part of a tree")
        out.append(b"l%d:" % len(part))
        for item in part:
            _write(item, out)


def fingerprint(preimage: Tree) -> str:
    """SHA-256 of a pre-image, 64 hex digits."""
    return hashlib.sha256(FINGERPRINT.encode() + b"\0" + encode(preimage)).hexdigest()


def encode_operator(op: Operator) -> bytes:
    """Bytes of an operator's tree."""
    return encode(to_tree(op))


def operator_digest(encoded: bytes) -> str:
    """SHA-256 of an operator's encoded tree, 64 hex digits: equal for equal work, whatever it is done on."""
    return hashlib.sha256(encoded).hexdigest()


def task_fingerprint(op: Operator, encoded: bytes, inputs: Mapping[str, list[str]]) -> str:
    """`fingerprint` of `task_preimage`, where the operator's tree is encoded already."""
    roles = encode(_roles(op, inputs))
    return hashlib.sha256(b"%b\0s4:taskl3:%bl2:%b" % (FINGERPRINT.encode(), encoded, roles)).hexdigest()


def task_preimage(op: Operator, inputs: Mapping[str, list[str]]) -> Tree:
    """Pre-image of a task: its operator, and per role the fingerprints (or content digests) of what it reads.

    Of a role that the operator declares `unordered` they are sorted: its bytes do not depend on their order.
    """
    return ["task", to_tree(op), _roles(op, inputs)]


def _roles(op: Operator, inputs: Mapping[str, list[str]]) -> Tree:
    return to_tree({role: sorted(ids) if role in op.unordered else tuple(ids) for role, ids in inputs.items()})


def differences(before: Tree, after: Tree, path: str = "") -> list[tuple[str, Any, Any]]:
    """Where two pre-images differ: (path, before, after), the narrowest paths only; None where there is nothing.

    Fields go by their names, the entries of a mapping by their keys, inputs by their roles below `inputs`. Sequences
    of other lengths and sets differ as a whole: by position, one insertion would read as a change of all that follows.

    >>> a = ["op", "data.edges/1", {"exact": ["bool", "true"]}]
    >>> b = ["op", "data.edges/1", {"exact": ["bool", "false"]}]
    >>> differences(a, b)
    [('exact', 'true', 'false')]
    """
    if before == after:
        return []
    if before[0] == after[0] == "task":
        return differences(before[1], after[1], path) + differences(before[2], after[2], _join(path, "inputs"))
    old, new = _children(before), _children(after)
    if before[0] != after[0] or old is None or new is None or (before[0] == "seq" and len(old) != len(new)):
        return [(path, *_leaves(before, after))]
    found: list[tuple[str, Any, Any]] = []
    if before[0] in _OBJECTS and before[1] != after[1]:
        found.append((_join(path, "kind"), before[1], after[1]))
    for key in old if before[0] == "seq" else sorted({*old, *new}):
        place = _join(path, key)
        if key in old and key in new:
            found += differences(old[key], new[key], place)
        else:
            found.append((place, _leaf(old.get(key)), _leaf(new.get(key))))
    return found


_OBJECTS = ("op", "part")


def _join(path: str, key: str) -> str:
    return f"{path}{key}" if key.startswith("[") or not path else f"{path}.{key}"


def _children(tree: Tree) -> dict[str, Tree] | None:
    """What a tree is made of, by key; None for one without parts, or whose parts have no key."""
    if tree[0] in _OBJECTS:
        fields: dict[str, Tree] = tree[2]
        return fields
    if tree[0] == "map":
        return {key[1] if key[0] == "str" else f"[{_leaf(key)}]": value for key, value in tree[1]}
    if tree[0] == "seq":
        return {f"[{i}]": item for i, item in enumerate(tree[1])}
    return None


def _leaves(before: Tree, after: Tree) -> tuple[Any, Any]:
    """Both sides for people; with their types where they differ in nothing else."""
    old, new = _leaf(before), _leaf(after)
    return (before, after) if old == new else (old, new)


def _leaf(tree: Tree | None) -> Any:
    if tree is None or not isinstance(tree[1], str) or len(tree) != 2:
        return tree
    return "null" if tree[0] == "null" else tree[1]
