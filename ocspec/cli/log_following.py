"""Following the logs of a task's shards until it is over, as text or JSON Lines. What it has to say goes to stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ocspec.cli import exits
from ocspec.cli.output import FORMAT_VERSION, one_line, say, short_path

if TYPE_CHECKING:
    from compiler.plan import Plan, Task
    from ocspec.cli.dispatchers import Logs
    from ocspec.cli.states import Standing
    from ocspec.cli.tail import Show
    from runtime.store import Store


def as_json(known: Logs, task_id: str, log: Path) -> Show:
    """Makes a line of a log an object."""
    shards, path = list(known.shards_in(task_id, log)), short_path(str(log))
    head = {"format_version": FORMAT_VERSION, "kind": "log", "task": task_id, "shards": shards, "log": path}
    return lambda line: json.dumps({**head, "line": line})


def _marked(mark: str, line: str) -> str:
    return mark + line


def _numbers(shards: Iterable[int]) -> str:
    """Shards as people count them.

    >>> _numbers((0, 1, 2, 4)), _numbers((6,))
    ('1-3,5', '7')
    """
    runs = [[shard + 1 for _, shard in run] for _, run in groupby(enumerate(shards), lambda pair: pair[1] - pair[0])]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


@attrs.define
class Following:
    """Follows the logs of some shards of a task."""

    plan: Plan
    task: Task
    file: Path
    store: Store
    shards: range
    as_json: bool = False
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

    def logs(self) -> dict[Path, Show | None]:
        """The log of each shard's last attempt, and how its lines look; several shards may share one."""
        from ocspec.cli.dispatchers import Logs

        known = Logs.read(self.file)
        last = [known.of(self.task.id, shard)[-1 if self.on_slurm else 0] for shard in self.shards]
        found = dict.fromkeys(last)
        return {log: self._show(known, log, alone=len(found) == 1) for log in found}

    def _show(self, known: Logs, log: Path, *, alone: bool) -> Show | None:
        if self.as_json:
            return as_json(known, self.task.id, log)
        if len(self.shards) == 1:
            return None
        return partial(_marked, "" if alone else f"[{_numbers(known.shards_in(self.task.id, log))}] ")

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
