"""ocspec logs: what the workers of a task wrote. Reads files beside the plan; it follows nothing."""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from pathlib import Path

from compiler.errors import UserError
from ocspec.cli import arguments, exits
from ocspec.cli.output import say, short_path


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `logs`."""
    parser = arguments.add_verb(subparsers, "logs", run, "print the logs of a task")
    parser.add_argument("task", metavar="TASK", help="id of the task, as `ocspec status` shows it")
    arguments.add_plan(parser)
    parser.add_argument("--paths", action="store_true", help="print where the logs are instead")


def run(args: Namespace) -> int:
    """Print every log, each under its path where there are several."""
    from ocspec.cli.dispatchers import log_files

    plan, file = arguments.plan_at(args.plan)
    task = arguments.task_called(plan, args.task)
    found = log_files(file, task.id)
    if not found:
        fix = "`ocspec status` shows whether it ran; a task that was reused, or ran inline, has none"
        raise UserError(f"task {task.id!r} has no logs here", where=str(file.parent), fix=fix)
    for log in found:
        if args.paths:
            print(short_path(str(log)))
        else:
            _print(log, named=len(found) > 1)
    return exits.OK


def _print(log: Path, *, named: bool) -> None:
    """Copy a log to stdout as it is."""
    if named:
        print(f"==> {short_path(str(log))} <==")
    if not log.stat().st_size:
        say(f"{short_path(str(log))} is empty: the worker had nothing to say")
    with log.open(errors="replace") as text:
        shutil.copyfileobj(text, sys.stdout)
