"""Following a run: lines, and the live table, drawn without a terminal."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from rich.console import Console

from compiler.compile import compile_experiment
from compiler.load import load_spec
from ocspec.cli.progress import Lines, Live, Tracker, follow
from runtime.dispatch.base import Event, State


@pytest.fixture
def tracker(spec: Path) -> Tracker:
    experiment, base = load_spec(str(spec))
    return Tracker(compile_experiment(experiment, base, shards=3), Path("run"), total=14)


def event(task: str, shard: int, state: State, detail: str = "") -> Event:
    return Event(task_id=task, shard=shard, state=state, detail=detail)


def report(task: str, shard: int, done: int, total: int) -> Path:
    file = Path("run/progress", f"{task.replace('/', '--')}.{shard}.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"done": done, "total": total, "unit": "documents"}))
    return file


def drawn(live: Live) -> list[str]:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(live.render())
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_line_per_event_and_one_a_task_for_what_is_queued_or_cancelled(tracker: Tracker, capsys) -> None:
    with Lines(tracker) as show:
        for shard in range(3):
            show(event("code/sign", shard, "queued", "Priority"))
        show(event("code/sign", 0, "running"))
        show(event("code/sign", 0, "failed", "code/sign: disk full\n  fix: free some"))
        show(event("code/refine", 0, "cancelled", "a task before it failed"))
        show(event("code/refine", 1, "cancelled", "a task before it failed"))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("s  ", 1)[1] for line in lines] == [
        "queued     code/sign  3 shards: Priority",
        "running    code/sign  shard 1 of 3",
        "failed     code/sign  shard 1 of 3: disk full",
        "cancelled  code/refine  3 shards: a task before it failed",
    ]
    assert tracker.failures == {("code/sign", 0): "code/sign: disk full\n  fix: free some"}


def test_elsewhere_than_on_a_terminal_lines_are_written(tracker: Tracker, monkeypatch) -> None:
    assert type(follow(tracker)) is Lines
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert type(follow(tracker)) is Live
    monkeypatch.setenv("TERM", "dumb")
    assert type(follow(tracker)) is Lines


def test_the_table_shows_shards_and_progress(tracker: Tracker, monkeypatch) -> None:
    monkeypatch.setattr(time, "time", lambda: tracker.began + 0.01)  # a busy machine may take longer to draw it
    live = Live(tracker)
    for shard in range(3):
        tracker.note(event("code/sign", shard, "running"))
    tracker.note(event("code/sign", 2, "done"))
    report("code/sign", 0, 10, 100)
    report("code/sign", 1, 40, 100)
    report("code/sign", 2, 100, 100)
    first, last = drawn(live)
    assert first.split() == [
        "running",
        "code/sign",
        "1/3",
        "shards",
        "0.0",
        "s",
        "25",
        "%",
        "50",
        "of",
        "200",
        "documents",
    ]
    assert last.startswith("0 of 14 tasks done, 0.")


def test_the_progress_of_an_earlier_run_is_not_shown(tracker: Tracker) -> None:
    tracker.note(event("code/sign", 0, "running"))
    before = time.time() - 60
    os.utime(report("code/sign", 0, 99, 100), (before, before))
    assert tracker.how_far("code/sign") == ""


def test_half_written_progress_is_passed_over(tracker: Tracker) -> None:
    tracker.note(event("code/sign", 0, "running"))
    report("code/sign", 0, 1, 2).write_text('{"done": 1')
    assert tracker.how_far("code/sign") == ""


def test_a_task_is_done_with_its_last_shard(tracker: Tracker) -> None:
    for shard in range(3):
        tracker.note(event("code/sign", shard, "running"))
        assert tracker.tasks_done == 0
        tracker.note(event("code/sign", shard, "done"))
    assert tracker.tasks_done == 1
    assert tracker.running == []


def test_more_tasks_than_rows_are_counted(tracker: Tracker) -> None:
    for task in tracker.plan.tasks:
        tracker.note(event(task.id, 0, "running"))
    lines = drawn(Live(tracker))
    assert len(lines) == 14
    assert lines[-2].strip() == "and 2 more"
    assert max(map(len, lines)) <= 80


def test_what_is_done_stays_above_the_table(tracker: Tracker, monkeypatch, capsys) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    with follow(tracker) as show:
        for shard in range(3):
            show(event("code/sign", shard, "running"))
            show(event("code/sign", shard, "done"))
    assert capsys.readouterr().err.count("done  ") >= 1
