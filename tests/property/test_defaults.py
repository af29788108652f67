"""Declared defaults, which fingerprints leave out: one that changes needs a new version of the operators that have it.

The golden is tests/golden/operators/defaults.txt. UPDATE_GOLDEN=1 writes it anew, but refuses a default that changed
under the same versions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import attrs

from compiler import ir
from compiler.canonical import canonical_name
from ocspec.base import concrete_kinds
from ocspec.evaluation import Benchmark
from tests.property.values import fields_of, is_semantic

FILE = Path(__file__).parents[1] / "golden" / "operators" / "defaults.txt"


def declared() -> dict[str, str]:
    """`class.field` and its default, behind the versions of all operators that have it."""
    return dict(sorted(_defaults()))


def _defaults() -> Iterator[tuple[str, str]]:
    holders: dict[type, list[str]] = {}
    for cls in ir.OPERATORS.values():
        for part in _parts(cls):
            holders.setdefault(part, []).append(f"{cls.op_id}/{cls.op_version}")
    for cls in ir.OPERATORS.values():
        yield from _of(cls, cls.op_id, f"{cls.op_id}/{cls.op_version}")
    for part, versions in holders.items():
        yield from _of(part, canonical_name(part), " ".join(versions))
    version = f"{ir.Benchmark.op_id}/{ir.Benchmark.op_version}"  # it leaves out settings at their declared default
    for kind in concrete_kinds(Benchmark):
        for name, info in kind.model_fields.items():
            if kind.__module__.startswith("ocspec.") and name not in {"name", "stages"}:
                yield f"{kind.kind()}.{name}", f"{info.default!r}  # {version}"


def _of(cls: type, name: str, versions: str) -> Iterator[tuple[str, str]]:
    for field in fields_of(cls):
        if is_semantic(field) and field.default is not attrs.NOTHING:
            default: Any = field.default
            value = default.factory() if hasattr(default, "factory") else default
            yield f"{name}.{field.metadata.get('aka', field.name)}", f"{value!r}  # {versions}"


def _parts(cls: type) -> set[type]:
    found: set[type] = set()
    todo = [field.type for field in fields_of(cls)]
    while todo:
        kind = todo.pop()
        todo += get_args(kind)
        if isinstance(kind, type) and attrs.has(kind) and kind not in found:
            found.add(kind)
            todo += [field.type for field in fields_of(kind)]
    return found


def test_a_default_changes_with_a_version() -> None:
    """Of every operator that has it."""
    before = dict(line.split(" = ", 1) for line in FILE.read_text().splitlines()) if FILE.exists() else {}
    after = declared()
    common = [name for name in before if name in after]
    wrong = [f"{name}: {before[name]} -> {after[name]}" for name in common if _kept(before[name], after[name])]
    assert not wrong, (
        f"defaults changed: {'; '.join(wrong)}. A value at its default is in no fingerprint: raise the versions of"
        " these operators in compiler/ir.py in the same commit, then run this test with UPDATE_GOLDEN=1"
    )
    if os.environ.get("UPDATE_GOLDEN"):
        FILE.parent.mkdir(parents=True, exist_ok=True)
        FILE.write_text("".join(f"{name} = {value}\n" for name, value in after.items()))
    assert FILE.exists(), "no golden: run with UPDATE_GOLDEN=1"
    assert "".join(f"{name} = {value}\n" for name, value in after.items()) == FILE.read_text(), (
        "run with UPDATE_GOLDEN=1"
    )


def _kept(before: str, after: str) -> bool:
    """Whether a default changed and some version did not."""
    (old, old_versions), (new, new_versions) = (text.rsplit("  # ", 1) for text in (before, after))
    return old != new and bool(set(old_versions.split()) & set(new_versions.split()))


def test_one_version_that_was_not_raised_is_enough_to_refuse() -> None:
    """Of two operators that share a part."""
    assert _kept("1  # a/1 b/1", "2  # a/2 b/1")
    assert not _kept("1  # a/1 b/1", "2  # a/2 b/2")
    assert not _kept("1  # a/1", "1  # a/1 b/1")
