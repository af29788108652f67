"""ocspec logs: what the workers of a task wrote, here or on Slurm's nodes. Reads files beside the plan."""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from compiler.errors import UserError
from ocspec.cli import arguments, exits
from ocspec.cli.output import one_line, plural, say, short_path

if TYPE_CHECKING:
    from compiler.plan import Plan, Task
    from ocspec.cli.states import Standing
    from runtime.store import Store


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


def run(args: Namespace) -> int:
    """Print every log, each under its path where there are several, or follow them."""
    plan, file = arguments.plan_at(args.plan)
    task = arguments.task_called(plan, args.task)
    if args.shard is not None and args.shard > task.shards:
        what = f"task {task.id!r} has {plural(task.shards, 'shard')}, so none is number {args.shard}"
        raise UserError(what, fix=f"`ocspec status --task {task.id}` shows them")
    shards = range(task.shards) if args.shard is None else range(args.shard - 1, args.shard)
    if args.follow and not args.paths:
        return _Following(plan, task, file.resolve(), arguments.store_at(args.store), shards).run()
    found = _found(file, task, shards)
    if not found:
        fix = "`ocspec status` shows whether it ran; a task that was reused, or ran inline, has none"
        raise UserError(f"task {task.id!r} has no logs here", where=str(file.parent), fix=fix)
    for log in found:
        if args.paths:
            print(one_line(short_path(str(log))))
        else:
            _print(log, named=len(found) > 1)
    return exits.OK


def _found(file: Path, task: Task, shards: range) -> list[Path]:
    """All logs of the task, or those of the one shard that is asked for."""
    from ocspec.cli.dispatchers import log_files, log_of_shard

    if len(shards) == task.shards:
        return log_files(file, task.id)
    return [log for log in log_of_shard(file, task.id, shards[0]) if log.exists()]


def _print(log: Path, *, named: bool) -> None:
    """Copy a log to stdout as it is."""
    if named:
        print(f"==> {one_line(short_path(str(log)))} <==")
    if not log.stat().st_size:
        say(f"{one_line(short_path(str(log)))} is empty: the worker had nothing to say")
    with log.open(errors="replace") as text:
        shutil.copyfileobj(text, sys.stdout)


@attrs.define
class _Following:
    """Follows the logs of some shards of a task."""

    plan: Plan
    task: Task
    file: Path
    store: Store
    shards: range
    said: str = ""
    on_slurm: bool = False

    def run(self) -> int:
        """Print until the task is over; the exit code says how it ended."""
        from ocspec.cli.tail import follow

        follow(self.logs, self.is_over)
        now = self.standing()
        mine = [now.shards[self.task.id][shard] for shard in self.shards]
        left = sum(shard.state != "finished" for shard in mine)
        if not left:
            return exits.OK
        name = one_line(self.task.id)
        what = f"{left} of {len(mine)} shards of {name} have" if len(mine) > 1 else f"{name} has"
        say(f"{what} not finished; see `ocspec status --task`")
        return exits.ERROR

    def standing(self) -> Standing:
        """Where the plan stands now."""
        from ocspec.cli.states import standing

        return standing(self.plan, self.file.parent, self.store)

    def logs(self) -> dict[Path, str]:
        """The log of each shard's last attempt, with what goes before its lines."""
        from ocspec.cli.dispatchers import log_of_shard

        found = {}
        for shard in self.shards:
            log = log_of_shard(self.file, self.task.id, shard)[-1 if self.on_slurm else 0]
            found[log] = f"[{shard + 1}] " if len(self.shards) > 1 else ""
        return found

    def is_over(self, printed: bool) -> bool:
        """Whether nothing more will come; says meanwhile what is waited for."""
        now = self.standing()
        self.on_slurm = now.dispatch == "slurm"
        mine = [now.shards[self.task.id][shard] for shard in self.shards]
        if now.is_over(self.task.id) or all(shard.state == "finished" for shard in mine):
            return True
        if not printed:
            self._say_why(now)
        return False

    def _say_why(self, now: Standing) -> None:
        """Say once what it waits for, and again where that changed."""
        from ocspec.cli.status import look

        (shown,) = look(now, [self.task], self.file.parent, self.store)
        if shown.state == "running":
            return
        reason = f" ({one_line(shown.reason)})" if shown.reason else ""
        text = f"{one_line(self.task.id)} is {shown.word}{reason}; waiting for its log"
        if text != self.said:
            self.said = text
            say(text)
