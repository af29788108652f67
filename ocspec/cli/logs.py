"""ocspec logs: what the workers of a task wrote, here or on Slurm's nodes. Reads files beside the plan."""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.errors import UserError
from ocspec.cli import arguments, exits
from ocspec.cli.output import one_line, plural, print_json, say, short_path

if TYPE_CHECKING:
    from compiler.plan import Task
    from ocspec.cli.dispatchers import Logs
    from ocspec.cli.tail import Show


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `logs`."""
    parser = arguments.add_verb(
        subparsers,
        "logs",
        run,
        "print the logs of a task",
        "With --follow it waits for a log that is not there yet, and ends with the task:\n"
        "0 where that finished, 1 where it failed.",
    )
    parser.add_argument("task", metavar="TASK", help="id of the task, as `ocspec status` shows it")
    arguments.add_plan(parser)
    arguments.add_store(parser)
    parser.add_argument(
        "--shard", metavar="N", type=arguments.positive, help="only this shard, counted from 1 as `status --task` does"
    )
    parser.add_argument("--follow", action="store_true", help="print what comes, until the task is over")
    parser.add_argument("--paths", action="store_true", help="print where the logs are instead")
    parser.add_argument(
        "--json", action="store_true", help="print JSON Lines, an object for each line, with a format_version"
    )


def run(args: Namespace) -> int:
    """Print every log, each under its path where there are several, or follow them."""
    plan, file = arguments.plan_at(args.plan)
    task = arguments.task_called(plan, args.task)
    if args.shard is not None and args.shard > task.shards:
        what = f"task {task.id!r} has {plural(task.shards, 'shard')}, so none is number {args.shard}"
        raise UserError(what, fix=f"`ocspec status --task {task.id}` shows them")
    shards = range(task.shards) if args.shard is None else range(args.shard - 1, args.shard)
    if args.follow and not args.paths:
        from ocspec.cli.log_following import Following

        store = arguments.store_at(args.store)
        return Following(plan, task, file.resolve(), store, shards, as_json=args.json).run()
    from ocspec.cli.dispatchers import Logs
    from ocspec.cli.log_following import as_json

    known = Logs.read(file)
    found = _found(known, task, shards)
    if not found:
        fix = "`ocspec status` shows whether it ran; a task that was reused, or ran inline, has none"
        raise UserError(f"task {task.id!r} has no logs here", where=str(file.parent), fix=fix)
    if args.paths:
        _print_paths(found, task, as_json=args.json)
        return exits.OK
    for log in found:
        if not log.stat().st_size:
            say(f"{one_line(short_path(str(log)))} is empty: the worker had nothing to say")
        if args.json:
            _print_lines(log, as_json(known, task.id, log))
        else:
            _print(log, named=len(found) > 1)
    return exits.OK


def _found(known: Logs, task: Task, shards: range) -> list[Path]:
    """All logs of the task, or those of the one shard that is asked for."""
    from ocspec.cli.dispatchers import log_files

    if len(shards) == task.shards:
        return log_files(known.file, task.id)
    return [log for log in known.of(task.id, shards[0]) if log.exists()]


def _print_paths(logs: Iterable[Path], task: Task, *, as_json: bool) -> None:
    paths = [short_path(str(log)) for log in logs]
    if as_json:
        print_json("logs", task=task.id, paths=paths)
    else:
        print(*map(one_line, paths), sep="\n")


def _print(log: Path, *, named: bool) -> None:
    """Copy a log to stdout as it is."""
    if named:
        print(f"==> {one_line(short_path(str(log)))} <==")
    with log.open(errors="replace") as text:
        shutil.copyfileobj(text, sys.stdout)


def _print_lines(log: Path, show: Show) -> None:
    with log.open(errors="replace", newline="\n") as text:
        for line in text:
            print(show(line.removesuffix("\n")))
