"""ocspec diff: what differs between two specs or plans, and which tasks that touches. Rendering only.

The comparison itself is `compiler.diff`. Both sides are compiled where they are specs, and nothing is written.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ocspec.cli import arguments, exits
from ocspec.cli.output import plural, print_json, print_table

if TYPE_CHECKING:
    from compiler.diff import Change, PlanDiff, TaskDiff

SYMBOLS = {"added": "+", "removed": "-", "changed": "~"}
LONGEST_VALUE = 60


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `diff`."""
    parser = arguments.add_verb(
        subparsers,
        "diff",
        run,
        "show what differs between two specs, and which tasks that touches",
        "Each side is a spec, FILE:NAME, plan.json or its directory.",
    )
    parser.add_argument("a", metavar="A", help="the side before")
    parser.add_argument("b", metavar="B", help="the side after")
    parser.add_argument("--exit-code", action="store_true", help="exit with 2 when they differ")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Compare and print."""
    from compiler.diff import diff_plans, to_json

    before, after = arguments.plan_of(args.a), arguments.plan_of(args.b)
    diff = diff_plans(before, after)
    if args.json:
        print_json(**{key: value for key, value in to_json(diff).items() if key != "format_version"})
    elif diff.differs:
        _show_changes(diff.changes, (before.spec, after.spec))
        _show_tasks(diff)
    else:
        print(f"no difference; all {plural(len(after.tasks), 'task')} are the same")
    return exits.DIFFERS if args.exit_code and diff.differs else exits.OK


def _show_changes(changes: Sequence[Change], specs: Sequence[dict[str, Any]]) -> None:
    """The changes as a tree, with their class."""
    print(plural(len(changes), "change"))
    rows = list(change_rows(changes, specs))
    width = max((len(label) for label, _, _ in rows), default=0)
    for label, value, change_class in rows:
        print(f"  {label:<{width}}  {value}".rstrip() + (f"  [{change_class}]" if change_class else ""))


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
        label = name
        while isinstance(below, dict) and len(below) == 1:
            (inner, below), *_ = below.items()
            label = f"{label}.{inner}"
        if isinstance(below, dict):
            yield f"{'  ' * depth}{label}", "", ""
            yield from _rows(below, depth + 1)
        else:
            yield f"{'  ' * depth}{SYMBOLS[below.kind]} {label}", values(below), below.change_class


def components(path: str, specs: Sequence[dict[str, Any]]) -> list[str]:
    """The parts of a change's path; names may hold dots, so they are looked up in the specs that it is of.

    >>> sources = {"keyed": {"six@1.16.0": {"kind": "Package", "fields": {}}}}
    >>> components("packages.six@1.16.0", [{"kind": "PyPI", "fields": {"packages": sources}}])
    ['packages', 'six@1.16.0']
    """
    nodes, parts, rest = list(specs), [], path
    while rest:
        children = [_children(node) for node in nodes]
        names = sorted((name for names in children for name in names if _starts(rest, name)), key=len)
        name = names[-1] if names else rest
        parts.append(name)
        rest = rest[len(name) :].removeprefix(".")
        nodes = [below[name] for below in children if name in below]
        if rest.startswith(" "):  # the order of the children, not one of them
            parts[-1], rest = parts[-1] + rest, ""
    return parts


def _children(node: Any) -> dict[str, Any]:
    if not isinstance(node, dict):
        return {}
    below: dict[str, Any] = node.get("fields") or node.get("keyed") or node.get("map") or {}
    return below


def _starts(path: str, name: str) -> bool:
    return path == name or path.startswith((f"{name}.", f"{name} "))


def values(change: Change) -> str:
    """What was and what is, cut where it is long; `--json` has all of it."""
    if change.kind == "changed":
        return f"{_short(change.before)} -> {_short(change.after)}"
    return _short(change.after if change.kind == "added" else change.before)


def _short(value: Any) -> str:
    if isinstance(value, dict) and "kind" in value:
        given = [
            f"{name}={_short(v)}" for name, v in value.items() if name != "kind" and v not in (None, "", [])
        ]
        text = f"{value['kind']}({', '.join(given)})"
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def _show_tasks(diff: PlanDiff) -> None:
    """The tasks that are not reused, and how many of each kind."""
    touched = [task for task in diff.tasks if task.action != "reuse"]
    if touched:
        print()
        print_table(
            ("task", "action", "because"), [(task.id, task.action, _because(task)) for task in touched]
        )
    counts = Counter(task.action for task in diff.tasks)
    order = ("reuse", "rebuild", "new", "may cut off", "removed")
    print(
        f"\n{plural(len(diff.tasks), 'task')}: {', '.join(f'{counts[action]} {action}' for action in order)}"
    )


def _because(task: TaskDiff) -> str:
    through = f" through {', '.join(task.through)}" if task.through else ""
    return f"{', '.join(task.because)}{through}".strip()
