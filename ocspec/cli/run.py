"""ocspec run: compile, submit and report in one go. Not more than the three verbs do by themselves."""

from __future__ import annotations

from argparse import Namespace

from ocspec.cli import arguments, compile, exits, report, submit
from ocspec.cli.output import print_json, short_path


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `run`: those of `compile` and `submit`."""
    parser = arguments.add_verb(
        subparsers,
        "run",
        run,
        "compile a spec, run the plan and write the report",
        "Prints the report's path last.",
    )
    arguments.add_compile(parser)
    submit.add_options(parser)


def run(args: Namespace) -> int:
    """Compile, submit and, if nothing failed, report."""
    plan, file = compile.compile_spec(args)
    if not args.json:
        compile.show(plan, file)
        print(flush=True)
    submit.hold_to_review(plan, file.resolve(), args)
    summary = submit.submit(plan, file, args)
    status = submit.status(summary)
    made = report.make(file, arguments.store_at(args.store), None) if status == exits.OK else None
    if args.json:
        print_json("run", **submit.facts(plan, summary), plan=str(file), report=str(made) if made else None)
        return status
    print(submit.sentence(summary))
    if made:
        print(f"report: {short_path(str(made))}")
    return status
