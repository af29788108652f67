"""ocspec report: write the HTML report of a plan's results. What is in it is `runtime.report`'s."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ocspec.cli import arguments, exits
from ocspec.cli.output import print_json, short_path

if TYPE_CHECKING:
    from runtime.store import Store


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `report`."""
    parser = arguments.add_verb(
        subparsers,
        "report",
        run,
        "write the report of a plan's results",
        "One HTML file that needs no network. Prints its path.",
    )
    arguments.add_plan(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="where to write it (default: report.html beside plan.json)"
    )
    arguments.add_store(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Write the report and print where it is."""
    _, file = arguments.plan_at(args.plan)
    made = make(file, arguments.store_at(args.store), args.output)
    if args.json:
        print_json("report", path=str(made))
    else:
        print(short_path(str(made)))
    return exits.OK


def make(file: Path, store: Store, output: str | None) -> Path:
    """Build the report of the plan in `file`; returns its path."""
    from runtime.report.build import build_report

    return build_report(file, store, Path(output) if output else file.parent / "report.html")
