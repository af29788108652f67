"""apply: the difference between two experiments as a Python function, so that it can be kept as an arm.

The text is source code in the language's own words: `edit` with the paths of the diff. As an object the same is
`ocspec.editing.edits` and `edit`. What the difference touches and costs is `compiler.diff`'s.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import ocspec
from compiler.diff import diff_specs
from compiler.errors import UserError
from ocspec.base import Spec, describe
from ocspec.editing import REMOVED, Path, at, edit, edits, resolve
from ocspec.experiment import Experiment

WIDTH = 100
INDENT = "    "


def as_function(name: str, before: Experiment, after: Experiment) -> str:
    """A module with one function, `name(experiment) -> Experiment`, that makes `after` of `before`.

    Applied to another experiment it changes the same places, and raises SpecError where one of them is not there. It
    says of how many changes it is as a diff counts them: the experiment's name, and the order of what is added before
    others, are told to `edit` and are none.
    Raises UserError for a name that is no Python name, and for objects of kinds that `ocspec` does not export.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UserError(f"{name!r} is no name for a function", fix="take letters, digits and underscores")
    changes = edits(before, after)
    assert edit(before, changes) == after
    names = {"Experiment", *(["edit"] if changes else [])}
    entries = [line for path, value in changes.items() for line in _entry(before, path, value, names)]
    number = sum(1 for _ in diff_specs(describe(before), describe(after)))
    body = [
        f"{INDENT}return edit(",
        f"{2 * INDENT}experiment,",
        f"{2 * INDENT}{{",
        *entries,
        f"{2 * INDENT}}},",
        f"{INDENT})",
    ]
    fraction = ["from fractions import Fraction", ""] if "Fraction" in names else []
    imported = f"from ocspec import {', '.join(sorted(names - {'Fraction'}, key=_as_ruff_sorts))}"
    if len(imported) > WIDTH:
        listed = [f"{INDENT}{one}," for one in sorted(names - {"Fraction"}, key=_as_ruff_sorts)]
        imported = "\n".join(["from ocspec import (", *listed, ")"])
    lines = [
        f'"""From {before.name} to {after.name}: what `ocspec diff --as-function` found."""',
        "",
        "from __future__ import annotations",
        "",
        *fraction,
        imported,
        "",
        "",
        f"def {name}(experiment: Experiment) -> Experiment:",
        f'{INDENT}"""From {before.name} to {after.name}: {number:,} change{"s" * (number != 1)}."""',
        *(body if changes else [f"{INDENT}return experiment"]),
    ]
    return "\n".join(lines) + "\n"


def _as_ruff_sorts(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def _entry(before: Experiment, path: Path, value: Any, names: set[str]) -> Iterator[str]:
    """`path: value,` in as many lines as it takes, with what was there before where that is short."""
    if value is REMOVED:
        names.add("REMOVED")
    text = "\n".join(source(value, names, 3 * len(INDENT), len(repr(path)) + 2))
    yield f"{3 * INDENT}{_quoted(path)}: {text},{_remark(before, path, value)}"


def _remark(before: Experiment, path: Path, value: Any) -> str:
    try:
        was = at(before, resolve(before, path, value))
    except KeyError:
        return ""
    text = repr(was)
    short = not isinstance(was, Spec | tuple | dict) and len(text) <= 30 and value is not REMOVED
    return f"  # was {text}" if short else ""


def _quoted(path: Path) -> str:
    return _string(path) if isinstance(path, str) else repr(path)


def _string(text: str) -> str:
    """As `repr`, in double quotes where that needs no escape."""
    plain = repr(text)
    return f'"{text}"' if plain == f"'{text}'" and '"' not in text else plain


# ---------------------------------------------------------------- values


def source(value: Any, names: set[str], indent: int = 0, used: int = 0) -> list[str]:
    """A value as Python source; `names` takes what has to be imported. Fields that are as by default are left out.

    >>> from ocspec.mixture import Part
    >>> names = set()
    >>> source(Part(dataset="code", weight=Fraction(1, 3)), names), sorted(names)
    (['Part(dataset="code", weight=Fraction(1, 3))'], ['Fraction', 'Part'])
    """
    opening, items, closing = _shape(value, names)
    if items is None:
        return [opening]
    inner = [(key, source(item, names, indent + len(INDENT), len(key))) for key, item in items]
    flat = ", ".join(key + lines[0] for key, lines in inner)
    lone = "," if opening == "(" and len(inner) == 1 else ""
    line = f"{opening}{flat}{lone}{closing}"
    if all(len(lines) == 1 for _, lines in inner) and indent + used + len(line) + 1 <= WIDTH:
        return [line]
    pad = " " * (indent + len(INDENT))
    below = [f"{pad}{key}{lines[0]}" if len(lines) == 1 else f"{pad}{key}" + "\n".join(lines) for key, lines in inner]
    return [f"{opening}", *(f"{text}," for text in below), f"{' ' * indent}{closing}"]


def _shape(value: Any, names: set[str]) -> tuple[str, list[tuple[str, Any]] | None, str]:
    """How a value is written: what opens it, its items with what stands before each, what closes it."""
    if isinstance(value, Spec):
        kind = type(value).__name__
        if getattr(ocspec, kind, None) is not type(value):
            raise UserError(
                f"a {kind} stands in the difference, which `ocspec` does not export", fix="write it by hand"
            )
        names.add(kind)
        given = [(f"{name}=", held) for name, held in _given(value)]
        return f"{kind}(", given, ")"
    if isinstance(value, tuple | list):
        return "(", [("", item) for item in value], ")"
    if isinstance(value, dict):
        return "{", [(f"{_string(key)}: ", item) for key, item in value.items()], "}"
    if isinstance(value, Fraction):
        names.add("Fraction")
        return repr(value), None, ""
    if type(value) is int:
        return f"{value:_}" if abs(value) >= 10_000 else str(value), None, ""
    return (_string(value) if isinstance(value, str) else repr(value)), None, ""


def _given(spec: Spec) -> Iterator[tuple[str, Any]]:
    for name, info in type(spec).model_fields.items():
        value = getattr(spec, name)
        if info.is_required() or type(value) is not type(info.default) or value != info.default:
            yield name, value
