"""The tree of `ocspec status`: tasks below the data set or stage that they belong to. It renders and asks nobody."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import attrs

from ocspec.cli.output import STYLES, duration, one_line
from ocspec.cli.views import TaskView
from runtime.dispatch.slurm.states import ShardState

if TYPE_CHECKING:
    from rich.text import Text

WIDEST_NAME = 32
LONGEST_REASON = 24
GAPS = 3 * 2  # between names, states, times and what is left
HEADERS = ("task", "state", "time", "left", "jobs")


def group_of(task_id: str) -> str:
    """The data set or stage that a task belongs to.

    >>> group_of("code/deduplicate/edges"), group_of("tokenizer")
    ('code', 'tokenizer')
    """
    return task_id.partition("/")[0]


def tree(views: Sequence[TaskView], width: int, *, everything: bool) -> list[Text]:
    """The lines. Groups that are finished are one line, unless `everything` is asked for; a single task needs none."""
    groups: dict[str, list[TaskView]] = {}
    for view in views:
        groups.setdefault(group_of(view.task.id), []).append(view)
    rows: list[_Row] = [_Row(HEADERS, "bold")]
    for name, members in groups.items():
        rows += _group(name, members, everything=everything)
    return list(_laid_out(rows, width))


@attrs.frozen
class _Row:
    """Cells: task, state, time, left, job; `reason` goes behind the state, where there is room; `below` under all."""

    cells: tuple[str, str, str, str, str]
    style: str = ""
    reason: str = ""
    below: tuple[str, ...] = ()
    indent: int = 0


def _group(name: str, members: list[TaskView], *, everything: bool) -> Iterator[_Row]:
    if len(members) == 1 and (everything or members[0].task.id == name):
        yield _task_row(members[0])
        return
    done = [view for view in members if view.state == "finished"]
    if len(done) == len(members) and not everything:
        took = sum(view.seconds or 0.0 for view in members)
        yield _Row((one_line(name), f"{len(done)} finished", duration(took), "", ""), "finished")
        return
    yield _Row((one_line(name), f"{len(done)} of {len(members)} finished", "", "", ""), "dim")
    yield from (attrs.evolve(_task_row(view), indent=2) for view in members)


def _task_row(view: TaskView) -> _Row:
    elapsed = "" if view.elapsed_s is None else duration(view.elapsed_s)
    left = "" if view.left_s is None else f"~{duration(view.left_s)}"
    reason = f"({one_line(view.reason)})" if view.reason else ""
    counts = f"{view.counts} {reason}".strip() if view.counts else ""
    interrupted = any(shard.detail == "interrupted" for shard in view.shards) and view.state == "missing"
    notes = [counts, "interrupted" if interrupted else ""]
    cells = (one_line(view.task.id), view.word, elapsed, left, one_line(view.jobs))
    below = tuple(filter(None, (*notes, *view.failures())))
    return _Row(cells, view.word, "" if counts else reason, below)


def _laid_out(rows: Sequence[_Row], width: int) -> Iterator[Text]:
    """Aligned where it fits; a long name has a line of its own, and reasons and jobs right of the edge go below."""
    from rich.text import Text

    beside = [_reason_beside(row) for row in rows]
    first, others = _columns(beside, WIDEST_NAME)
    if first + GAPS + sum(others) <= width:
        rows = beside
    else:
        rows = [_reason_below(row) for row in rows]
        _, others = _columns(rows, WIDEST_NAME)
        first, _ = _columns(rows, min(WIDEST_NAME, width - GAPS - sum(others)))
    for row in rows:
        name, state, elapsed, left, job = row.cells
        line = Text(" " * row.indent + name, "bold" if row.style == "bold" else "")
        if len(line) > first:
            yield line
            line = Text()
        line.append(" " * (first + 2 - len(line)))
        line.append(state.ljust(others[0]), STYLES.get(row.style, row.style))
        line.append(f"  {elapsed:>{others[1]}}  {left:>{others[2]}}".rstrip())
        below = row.below
        if job and first + 8 + sum(others) + len(job) <= width:
            line.append(" " * (first + 8 + sum(others) - len(line)) + job)
        elif job and row.style != "bold":
            below = (f"jobs {job}", *below)
        line.rstrip()
        yield line
        for text in below:
            for part in textwrap.wrap(text, max(20, width - row.indent - 4), subsequent_indent="  "):
                yield Text(" " * (row.indent + 4) + part, "dim")


def _columns(rows: Sequence[_Row], widest: int) -> tuple[int, list[int]]:
    """The widths of the names, of which those above `widest` do not count, and of state, time and left."""
    names = [len(row.cells[0]) + row.indent for row in rows]
    first = max((name for name in names if name <= widest), default=len(HEADERS[0]))
    return first, [max(len(row.cells[number]) for row in rows) for number in (1, 2, 3)]


def _reason_beside(row: _Row) -> _Row:
    if not row.reason:
        return row
    name, state, elapsed, left, job = row.cells
    shown = row.reason if len(row.reason) <= LONGEST_REASON + 2 else row.reason[: LONGEST_REASON - 2] + "...)"
    return attrs.evolve(row, cells=(name, f"{state} {shown}", elapsed, left, job))


def _reason_below(row: _Row) -> _Row:
    return attrs.evolve(row, below=(row.reason, *row.below)) if row.reason else row


def shard_rows(shards: Iterable[ShardState]) -> list[tuple[str, ...]]:
    """A row for each shard of one task: number from 1, state, job, node, detail."""
    return [
        (
            str(shard.shard + 1),
            shard.state,
            one_line(shard.job_id),
            one_line(shard.node),
            one_line(": ".join(filter(None, (shard.cause, shard.detail)))),
        )
        for shard in shards
    ]
