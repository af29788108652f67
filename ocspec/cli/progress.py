"""Following a run: a live table on a terminal, one line per event elsewhere, on stderr. It only looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from compiler.plan import Plan
from ocspec.cli.output import STYLES, console, duration, one_line, quantity, say

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from runtime.dispatch.base import Event, State

LIVE_ROWS = 12
WHOLE_TASKS = ("queued", "cancelled")


@attrs.define
class Tracker:
    """The shards of a run by state, and what the failed ones said. `total` tasks are to run."""

    plan: Plan
    directory: Path
    total: int
    states: dict[str, dict[int, State]] = attrs.field(factory=dict)
    started: dict[tuple[str, int], float] = attrs.field(factory=dict)
    failures: dict[tuple[str, int], str] = attrs.field(factory=dict)
    began: float = attrs.field(factory=time.time)

    def note(self, event: Event) -> None:
        """Take an event in."""
        self.states.setdefault(event.task_id, {})[event.shard] = event.state
        if event.state == "running":
            self.started[event.task_id, event.shard] = time.time()
        if event.state == "failed":
            self.failures[event.task_id, event.shard] = event.detail
        else:
            self.failures.pop((event.task_id, event.shard), None)

    def shards(self, task_id: str, *states: str) -> list[int]:
        """The shards of a task that are in one of these states."""
        return [shard for shard, state in list(self.states.get(task_id, {}).items()) if state in states]

    @property
    def running(self) -> list[str]:
        """Tasks of which a shard runs, first started first."""
        return [task_id for task_id in list(self.states) if self.shards(task_id, "running")]

    def ended(self, task_id: str) -> bool:
        """Whether all shards of a task are done."""
        return len(self.shards(task_id, "done")) == self.plan.task(task_id).shards

    @property
    def tasks_done(self) -> int:
        """Tasks of this run that are done."""
        return sum(self.ended(task_id) for task_id in list(self.states))

    def seconds(self, task_id: str) -> float:
        """Time since the first shard of a task started."""
        return time.time() - min(
            (t for (task, _), t in list(self.started.items()) if task == task_id), default=time.time()
        )

    def how_far(self, task_id: str) -> str:
        """What the running shards of a task say of their progress, added up."""
        reports = [r for shard in self.shards(task_id, "running") if (r := self._report(task_id, shard))]
        done, total = (sum(r[key] for r in reports) for key in ("done", "total"))
        if not total:
            return ""
        return f"{100 * done / total:3.0f} %  {quantity(done)} of {quantity(total)} {reports[0]['unit']}"

    def _report(self, task_id: str, shard: int) -> dict[str, Any] | None:
        from ocspec.cli.remaining import report

        since = self.started.get((task_id, shard))
        return None if since is None else report(self.directory, task_id, shard, since)


def message(task_id: str, detail: str) -> str:
    """What a shard said, without the name of its task: that is beside it already."""
    return detail.strip().removeprefix(f"{task_id}: ")


def follow(tracker: Tracker) -> AbstractContextManager[Lines]:
    """What to show a run with: live on a terminal that can move its cursor, in lines elsewhere."""
    out = console(stderr=True)
    return Live(tracker) if out.is_terminal and not out.is_dumb_terminal else Lines(tracker)


class Lines(AbstractContextManager["Lines"]):
    """A line per event."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def __exit__(self, *exception: object) -> None:
        sys.stderr.flush()

    def __call__(self, event: Event) -> None:
        """Note an event and show it; tasks are queued and cancelled as a whole, unless a shard had come further."""
        before = self.tracker.states.get(event.task_id, {}).get(event.shard)
        whole = event.state in WHOLE_TASKS and before not in {"running", "failed"}
        first = not self.tracker.shards(event.task_id, event.state)
        self.tracker.note(event)
        if first or not whole:
            self.show(event, whole=whole)

    def show(self, event: Event, *, whole: bool) -> None:
        """Print one line; a failure's whole message comes at the end of the run."""
        say(self.line(event, whole=whole))

    def line(self, event: Event, *, whole: bool) -> str:
        """`   3.2 s  running    code/sign  shard 1 of 4`."""
        shards = self.tracker.plan.task(event.task_id).shards
        which = f"{shards} shards" if whole else f"shard {event.shard + 1} of {shards}"
        task_id = one_line(event.task_id)
        what = f"{task_id}  {which}" if shards > 1 else task_id
        detail = message(event.task_id, event.detail).split("\n")[0] if event.state != "done" else ""
        head = f"{duration(time.time() - self.tracker.began):>9}  {event.state:<9}  {what}"
        return f"{head}: {one_line(detail)}" if detail else head


class Live(Lines):
    """A table of what runs, redrawn in place; what is done scrolls away above it."""

    def __init__(self, tracker: Tracker) -> None:
        from rich.live import Live as RichLive

        super().__init__(tracker)
        self._out = console(stderr=True)
        self._live = RichLive(
            console=self._out,
            transient=True,
            refresh_per_second=4,
            get_renderable=self.render,
            redirect_stdout=False,
        )

    def __enter__(self) -> Live:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def show(self, event: Event, *, whole: bool) -> None:
        """Only what ended is worth a line that stays; a task of many shards gets one."""
        task_id = event.task_id
        if event.state == "failed" or (event.state == "done" and self.tracker.ended(task_id)):
            from rich.text import Text

            took = duration(self.tracker.seconds(task_id))
            line = Text.assemble((f"{event.state:>9}", STYLES[event.state]), f"  {one_line(task_id)}  ", (took, "dim"))
            self._live.console.print(line)

    def render(self) -> RenderableType:
        """The table and, below it, the run as a whole."""
        from rich.console import Group
        from rich.text import Text

        elapsed = duration(time.time() - self.tracker.began)
        line = f"{self.tracker.tasks_done} of {self.tracker.total} tasks done, {elapsed}"
        return Group(self._table(), Text(line))

    def _table(self) -> Table:
        from rich.table import Table

        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
        for row in self._rows():
            table.add_row(*row)
        return table

    def _rows(self) -> Iterator[tuple[str, ...]]:
        running = self.tracker.running
        for task_id in running[:LIVE_ROWS]:
            shards = self.tracker.plan.task(task_id).shards
            done = len(self.tracker.shards(task_id, "done"))
            count = f"{done}/{shards} shards" if shards > 1 else ""
            yield (
                f"  running  {one_line(task_id)}",
                count,
                duration(self.tracker.seconds(task_id)),
                self.tracker.how_far(task_id),
            )
        if len(running) > LIVE_ROWS:
            yield f"  and {len(running) - LIVE_ROWS} more", "", "", ""
