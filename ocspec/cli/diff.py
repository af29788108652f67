"""ocspec diff: what differs between two specs or plans, and which tasks that touches. Rendering only.

The comparison itself is `compiler.diff`. A side that is a spec is compiled for this, and not written.
"""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ocspec.cli import arguments, exits
from ocspec.cli.output import console, plural, print_json, print_table

if TYPE_CHECKING:
    from compiler.diff import PlanDiff, TaskDiff
    from compiler.plan import Plan

ACTIONS = ("reuse", "rebuild", "new", "may cut off", "removed")
MOST_NAMES = 2


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
        _show(diff, before, after)
    else:
        print(f"no difference; all {plural(len(after.tasks), 'task')} are the same")
    return exits.DIFFERS if args.exit_code and diff.differs else exits.OK


def _show(diff: PlanDiff, before: Plan, after: Plan) -> None:
    """The changes as a tree, the tasks that are not reused, and how many there are of each kind."""
    from ocspec.cli.changes import lines, short_names

    specs = (before.spec, after.spec)
    print(plural(len(diff.changes), "change"))
    for line in lines(diff.changes, specs, console().width):
        print(line)
    names = short_names([change.path for change in diff.changes], specs)
    touched = [task for task in diff.tasks if task.action != "reuse"]
    if touched:
        print()
        rows = [(task.id, task.action, _because(task, names, after)) for task in touched]
        print_table(("task", "action", "because"), rows)
    counts = Counter[str](task.action for task in diff.tasks)
    numbers = ", ".join(f"{counts[action]} {action}" for action in ACTIONS)
    print(f"\n{plural(len(diff.tasks), 'task')}: {numbers}")


def _because(task: TaskDiff, names: dict[str, str], plan: Plan) -> str:
    """The causes and the tasks that they came through, the nearest only; `--json` has all."""
    beyond = {upstream for one in task.through for upstream in plan.task(one).upstream}
    nearest = [one for one in task.through if one not in beyond]
    through = f" through {_few(nearest)}" if nearest else ""
    return f"{_few([names[cause] for cause in task.because])}{through}".strip()


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
