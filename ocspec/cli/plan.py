"""ocspec plan: what would run and what is reused. Looks into the store and runs nothing."""

from __future__ import annotations

from argparse import Namespace

from ocspec.cli import arguments, exits
from ocspec.cli.output import plural, print_json, print_table


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `plan`."""
    parser = arguments.add_verb(
        subparsers,
        "plan",
        run,
        "show what would run and what is reused",
        "A spec is compiled for this, and not written.",
    )
    parser.add_argument(
        "plan",
        nargs="?",
        metavar="SPEC|PLAN",
        help="spec, plan.json or its directory (default: the last compiled)",
    )
    arguments.add_shards(parser)
    arguments.add_store(parser)
    parser.add_argument("--all", action="store_true", help="list reused tasks, too")
    parser.add_argument("--exit-code", action="store_true", help="exit with 2 when something would run")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Look up every task and print what would become of it."""
    from ocspec.cli.forecast import forecast

    plan = arguments.plan_of(args.plan, args.shards)
    tasks = forecast(plan, arguments.store_at(args.store))
    counts = {action: sum(t.action == action for t in tasks) for action in ("reused", "cut off", "to run")}
    if args.json:
        rows = [
            {
                "id": t.task.id,
                "action": t.action,
                "waits_for": list(t.waits_for),
                "shard_seconds": t.task.resources.seconds,
            }
            for t in tasks
        ]
        print_json("plan", experiment=plan.experiment, counts=counts, tasks=rows)
    else:
        shown = [t for t in tasks if args.all or t.action == "to run"]
        rows_ = [
            (t.task.id, t.action, t.task.resources.task_class, str(t.task.shards), ", ".join(t.waits_for))
            for t in shown
        ]
        if rows_:
            print_table(("task", "action", "class", ">shards", "after"), rows_)
            print()
        numbers = ", ".join(f"{count} {action}" for action, count in counts.items())
        print(f"{plan.experiment}: {plural(len(tasks), 'task')}, {numbers}")
    return exits.DIFFERS if args.exit_code and counts["to run"] else exits.OK
