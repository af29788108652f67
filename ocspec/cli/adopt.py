"""ocspec adopt: give a task an artefact that is there already, after checking that it is what the task would make."""

from __future__ import annotations

from argparse import Namespace

from ocspec.cli import arguments, exits
from ocspec.cli.output import print_json


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `adopt`."""
    parser = arguments.add_verb(
        subparsers,
        "adopt",
        run,
        "take an existing artefact for a task, instead of building it",
        "From another store, or from this one: after the version of an operator was\n"
        "raised that writes the same bytes as before. The operator's fields and the\n"
        "content of its inputs must be those of the task; outputs are digested again.",
    )
    parser.add_argument(
        "artefact",
        metavar="ARTEFACT",
        help="directory STORE/artifacts/KEY, or the first digits of a key or fingerprint",
    )
    parser.add_argument("--as", dest="task", metavar="TASK", required=True, help="the task that shall have it")
    arguments.add_plan(parser)
    arguments.add_store(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Adopt and say what was taken."""
    from runtime.adoption import adopt, operator
    from runtime.journal import Journal

    plan, file = arguments.plan_at(args.plan)
    task = arguments.task_called(plan, args.task)
    done = adopt(args.artefact, task, plan, arguments.store_at(args.store), Journal(file.parent / "journal"))
    manifest = done.artifact.manifest
    if args.json:
        print_json("adopt", task=task.id, key=manifest["key"], adopted=manifest.get("adopted", []), was=done.was_there)
    elif done.was_there:
        print(f"{task.id}: built already, as {manifest['key'][:16]}; nothing was changed")
    else:
        origin = manifest["adopted"][-1] if manifest.get("adopted") else {"operator": operator(manifest), **manifest}
        print(f"{task.id}: adopted {origin['key'][:16]} of {origin['operator']} as {manifest['key'][:16]}")
    return exits.OK
