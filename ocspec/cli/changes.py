"""The changes between two specs as lines of a tree. Rendering only: the comparison is `compiler.diff`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from compiler.diff import Change
from ocspec.cli.overrides import text

SYMBOLS = {"added": "+", "removed": "-", "changed": "~"}
LEAST_WIDTH = 20


def lines(changes: Sequence[Change], specs: Sequence[dict[str, Any]], width: int) -> Iterator[str]:
    """The tree with values and classes in columns; long values are cut, `--json` has all of them."""
    rows = list(change_rows(changes, specs))
    labels = max((len(label) for label, _, _ in rows), default=0)
    for label, value, change_class in rows:
        space = max(LEAST_WIDTH, width - labels - len(change_class) - 8)
        cut = value if len(value) <= space else f"{value[: space - 3]}..."
        yield f"  {label:<{labels}}  {cut}  [{change_class}]" if change_class else f"  {label}"


def change_rows(changes: Sequence[Change], specs: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """(label, value, class) per line of the tree; inner lines have a label only.

    A place that is the only one below its parent stands on its parent's line.
    """
    tree: dict[str, Any] = {}
    for change in changes:
        *places, last = components(change.path, specs)
        node = tree
        for place in places:
            node = node.setdefault(place, {})
        node[last] = change
    yield from _rows(tree, 0)


def _rows(tree: dict[str, Any], depth: int) -> Iterator[tuple[str, str, str]]:
    for name, below in tree.items():
        label, node = name, below
        while isinstance(node, dict) and len(node) == 1:
            ((inner, node),) = node.items()
            label = f"{label}.{inner}"
        if isinstance(node, dict):
            yield f"{'  ' * depth}{label}", "", ""
            yield from _rows(node, depth + 1)
        else:
            yield f"{'  ' * depth}{SYMBOLS[node.kind]} {label}", values(node), node.change_class


def components(path: str, specs: Sequence[dict[str, Any]]) -> list[str]:
    """The parts of a change's path; names may hold dots, so they are looked up in the specs that it is of.

    >>> sources = {"keyed": {"six@1.16.0": {"kind": "Package", "fields": {}}}}
    >>> components("packages.six@1.16.0", [{"kind": "PyPI", "fields": {"packages": sources}}])
    ['packages', 'six@1.16.0']
    """
    nodes, parts, rest = list(specs), [], path
    while rest:
        children = [_children(node) for node in nodes]
        name = next((name for name in _beginnings(rest) if any(name in below for below in children)), rest)
        parts.append(name)
        rest = rest[len(name) :].removeprefix(".")
        nodes = [below[name] for below in children if name in below]
        if rest.startswith(" "):  # the order of the children, not one of them
            parts[-1], rest = parts[-1] + rest, ""
    return parts


def _beginnings(path: str) -> Iterator[str]:
    """The path, and what of it stands before a dot or a space, the longest first.

    >>> list(_beginnings("a.b (order)"))
    ['a.b (order)', 'a.b', 'a']
    """
    yield path
    for end in range(len(path) - 1, 0, -1):
        if path[end] in ". ":
            yield path[:end]


def _children(node: Any) -> dict[str, Any]:
    if not isinstance(node, dict):
        return {}
    below: dict[str, Any] = node.get("fields") or node.get("keyed") or node.get("map") or {}
    return below


def short_names(paths: Sequence[str], specs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """For each path its last two parts, or as many more as tell it from the others.

    >>> list(short_names(["model.width", "stages.a.peak", "stages.b.peak"], []).values())
    ['model.width', 'stages.a.peak', 'stages.b.peak']
    """
    parts = {path: components(path, specs) for path in paths}
    ends = Counter(tuple(own[-n:]) for own in parts.values() for n in range(2, len(own) + 1))
    names = {}
    for path, own in parts.items():
        telling = (n for n in range(2, len(own)) if ends[tuple(own[-n:])] == 1)
        names[path] = ".".join(own[-next(telling, len(own)) :])
    return names


def values(change: Change) -> str:
    """What was and what is."""
    if change.kind == "changed":
        return f"{text(change.before)} -> {text(change.after)}"
    return text(change.after if change.kind == "added" else change.before)
