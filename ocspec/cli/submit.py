"""ocspec submit: run a compiled plan, exactly as compiled, and follow it to the end.

On this machine or on SLURM, as the profile says. What is finished is kept whatever happens; run again to go on.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ocspec.cli import arguments, exits
from ocspec.cli.output import duration, plural, print_json, say, say_errors, short_path

if TYPE_CHECKING:
    from compiler.plan import Plan
    from ocspec.cli.progress import Tracker
    from runtime.run import Summary
    from runtime.store import Store


class Stopped(KeyboardInterrupt):
    """Ctrl-C while a plan ran; everything that was started is stopped."""


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `submit`."""
    parser = arguments.add_verb(
        subparsers,
        "submit",
        run,
        "run a compiled plan, on this machine or on SLURM",
        "Only what is missing or changed runs. Ctrl-C stops; what is finished is kept.",
    )
    arguments.add_plan(parser)
    add_options(parser)


def add_options(parser: ArgumentParser) -> None:
    """What running takes."""
    arguments.add_store(parser)
    arguments.add_profile(parser)
    parser.add_argument("--inline", action="store_true", help="run in this process, one shard after another")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Run the plan and sum up."""
    plan, file = arguments.plan_at(args.plan)
    summary = submit(plan, file, args)
    return exits.ERROR if summary.failed or summary.cancelled else exits.OK
