"""ocspec status: store, journal and queue read together, and the tree that shows them."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from ocspec.cli import remaining, tree
from ocspec.cli.views import TaskView
from runtime.dispatch.slurm.states import ShardState
from runtime.journal import Journal
from runtime.worker import run_shard
from tests.slurm.graph import step

JOURNAL = Journal(Path("build/tiny/journal"))
NO_PROCESS = 2**22 + 1  # above the largest process id that Linux gives out
NOW = 1_000_000.0


def state(ocspec, task: str) -> tuple[str, str]:
    tasks = json.loads(ocspec("status", "--json").out)["tasks"]
    (found,) = [row for row in tasks if row["id"] == task]
    return found["state"], found["detail"]


def test_finished_stages_are_one_line_each_unless_all_are_asked_for(ocspec, built: Path) -> None:
    result = ocspec("status")
    assert result.code == 0
    assert re.search(r"^code +\d+ finished +[\d.]+ s$", result.out, re.MULTILINE)
    assert re.search(r"^tokenizer +finished +[\d.]+ s$", result.out, re.MULTILINE)
    assert "code/sign" not in result.out
    assert result.out.endswith("\ntiny: 14 tasks, 14 finished, 0 running, 0 queued, 0 failed, 0 missing\n")
    assert re.search(r"^  code/sign +finished +[\d.]+ s$", ocspec("status", "--all").out, re.MULTILINE)


def test_nothing_has_run_before_the_first_submit(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    assert "0 finished, 0 running, 0 queued, 0 failed, 14 missing" in ocspec("status").out


def test_a_worker_that_lives_is_running_and_a_dead_one_was_interrupted(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    JOURNAL.write("started", task="code/sign", shard=0, host=platform.node(), pid=os.getpid())
    assert state(ocspec, "code/sign") == ("running", "")
    JOURNAL.write("started", task="code/sign", shard=0, host=platform.node(), pid=NO_PROCESS)
    assert state(ocspec, "code/sign") == ("missing", "interrupted")


def test_a_worker_on_another_machine_runs_until_its_driver_stops(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    JOURNAL.write("started", task="code/sign", shard=0, host="elsewhere", pid=1)
    assert state(ocspec, "code/sign") == ("running", "")
    JOURNAL.write("stopped", left=1)
    assert state(ocspec, "code/sign") == ("missing", "interrupted")


def test_finished_shards_are_those_of_the_store(ocspec, spec: Path) -> None:
    """The journal may tell of shards of another version of the plan."""
    ocspec("compile", str(spec), "--shards", "3")
    JOURNAL.write("finished", task="code/sign", shard=0, seconds=1.0)
    assert state(ocspec, "code/sign") == ("missing", "")
    for shard in (0, 1):
        run_shard("build/tiny/plan.json", "code/sign", shard, str(Path(".ocspec").resolve()))
    assert state(ocspec, "code/sign") == ("missing", "2 finished, 1 missing")
    JOURNAL.write("started", task="code/sign", shard=2, host=platform.node(), pid=os.getpid())
    assert state(ocspec, "code/sign") == ("running", "2 finished, 1 running")


def test_a_run_in_this_process_that_is_stopped_was_interrupted(ocspec, spec: Path, monkeypatch) -> None:
    """Ctrl-C is no failure of the shard that it met."""

    def stop(root: Path) -> None:
        raise KeyboardInterrupt

    ocspec("compile", str(spec))
    with monkeypatch.context() as stopped:
        stopped.setattr("runtime.store.sync_tree", stop)
        assert ocspec("submit", "--inline").code == 130
    events = [event["event"] for event in JOURNAL.read()]
    assert [event for event in events if event != "run"] == ["started", "interrupted", "stopped"]
    assert state(ocspec, "code/sign") == ("missing", "interrupted")


def test_a_retry_takes_the_failure_back(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    JOURNAL.write("failed", task="code/sign", shard=0, error="no space left")
    assert state(ocspec, "code/sign") == ("failed", "no space left")
    JOURNAL.write("started", task="code/sign", shard=0, host=platform.node(), pid=os.getpid())
    assert state(ocspec, "code/sign") == ("running", "")


def test_one_task_is_shown_shard_by_shard(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec), "--shards", "2")
    JOURNAL.write("failed", task="code/sign", shard=1, error="bad\nrow")
    out = ocspec("status", "--task", "code/sign").out
    assert re.search(r"^ +1  missing$", out, re.MULTILINE)
    assert re.search(r"^ +2  failed +error: bad\\nrow$", out, re.MULTILINE)
    assert "tiny: 1 task, " in out
    assert ocspec("status", "--task", "code/sing").code == 1


def shard(task: str, number: int, kind: str, **more) -> ShardState:
    return ShardState(task_id=task, shard=number, state=kind, **more)


def shards(task: str, *groups: tuple[int, str, dict]) -> tuple[ShardState, ...]:
    kinds = [(kind, more) for count, kind, more in groups for _ in range(count)]
    return tuple(shard(task, number, kind, **more) for number, (kind, more) in enumerate(kinds))


def seen(task: str, *groups: tuple[int, str, dict], **more) -> TaskView:
    found = shards(task, *groups)
    return TaskView(task=step(task, shards=len(found)), shards=found, now=NOW, **more)


def rendered(*views: TaskView, everything: bool = False) -> str:
    lines = [line.plain for line in tree.tree(views, 80, everything=everything)]
    assert max(map(len, lines)) <= 80
    return "\n".join(lines) + "\n"


def test_a_tree_of_everything_fits_eighty_columns() -> None:
    where = {"job_id": "7_3", "node": "n1", "since": NOW - 200}
    waits = {"job_id": "9", "detail": "Dependency", "since": NOW - 30}
    views = [
        seen("code/sign", (2, "finished", {}), seconds=3.0),
        seen("code/pack", (1, "finished", {}), seconds=1.0),
        seen(
            "web/score",
            (12, "finished", {}),
            (3, "running", where),
            (1, "preempted", {"detail": "BeginTime", "since": NOW - 9}),
            (4, "queued", {"detail": "Priority", "since": NOW - 9}),
            left_s=3720.0,
        ),
        seen("web/pack", (1, "queued", waits)),
        seen(
            "web/merge",
            (2, "failed", {"cause": "timeout", "detail": "not finished after 5 minutes"}),
            (1, "failed", {"cause": "error", "detail": "web/merge: 47 rows have no licence\n  fix: none"}),
            retried=frozenset((0, 1)),
        ),
        seen("tokenizer", (1, "cancelled", {"cause": "parent", "detail": "a task before it did not succeed"})),
        seen("pretrain/train", (1, "running", where), left_s=72_000.0),
        seen("pretrain/bits_per_byte-of-a-test-set-with-a-long-name", (1, "missing", {})),
    ]
    expected = Path(__file__).parents[2] / "fixtures" / "cli" / "status_tree.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.parent.mkdir(exist_ok=True)
        expected.write_text(rendered(*views))
    assert rendered(*views) == expected.read_text()


def test_long_reasons_go_below_where_the_row_would_be_too_wide() -> None:
    waits = {"job_id": "9", "detail": "QOSMaxJobsPerUserLimit", "since": NOW - 120_000}
    views = [
        seen("python-repositories/sign", (1, "finished", {}), seconds=3.0),
        seen("python-repositories/refine", (1, "queued", waits), left_s=399_960.0),
        seen("python-repositories/pack", (2, "queued", {"detail": "AssocGrpCPUMinutesLimit, and so on"})),
    ]
    lines = rendered(*views).splitlines()
    row = lines.index("  python-repositories/refine  queued           33 h 20 min  ~111 h 6 min  9")
    assert lines[row + 1] == "      (QOSMaxJobsPerUserLimit)"
    assert lines[-1] == "      (AssocGrpCPUMinutesLimit, and so on)"


NAMES = st.text(st.characters(codec="ascii", categories=("L",)), min_size=1, max_size=29)


@given(NAMES, st.sampled_from(("queued", "running", "completing")), st.integers(0, 10**6), st.text(max_size=60))
def test_no_row_is_wider_than_eighty_columns(name: str, kind: str, since: int, reason: str) -> None:
    where = {"job_id": "1234567_12", "node": "a-node-of-the-machine-0017", "detail": reason, "since": NOW - since}
    view = seen(f"{name}/a", (1, kind, where), left_s=399_960.0)
    rendered(view, seen(f"{name}/b", (2, kind, where), (1, "finished", {})), seen("tokenizer", (1, "finished", {})))


def test_hostile_names_cannot_break_the_tree() -> None:
    bad = "a b\"'\n\x1b[2Jü\udcff/step"
    out = rendered(seen(bad, (1, "failed", {"cause": "error", "detail": "x\x07\ny", "node": "n\n1"})))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out)
    assert "a b\"'\\n\\x1b[2Jü\\udcff/step" in out
    assert "error: x\\x07" in out
    out.encode()


@pytest.mark.parametrize("kind", ["running", "completing"])
def test_what_runs_outweighs_what_failed(kind: str) -> None:
    assert seen("a", (1, kind, {}), (1, "failed", {})).state == "running"


def left(*groups: tuple[int, str, dict], seconds: int | None = None, events: tuple = ()) -> float | None:
    task = step("a", shards=9, seconds=seconds)
    history = remaining.histories(events).get("a", {})
    return remaining.seconds_left(task, shards("a", *groups), Path(), history, NOW)


def progress(done: int, total: int, unit: str = "documents") -> None:
    file = Path("progress/a.0.json")
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"done": done, "total": total, "unit": unit}))
    os.utime(file, (NOW, NOW))


RUNS = {"since": NOW - 100}


def test_what_is_left_is_told_by_the_plan_by_finished_shards_and_by_progress(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert left((1, "running", RUNS)) is None
    assert left((1, "running", RUNS), seconds=160) == 60
    mean = ({"event": "finished", "task": "a", "shard": 5, "seconds": 120.0, "time": 1.0},)
    assert left((1, "running", RUNS), seconds=160, events=mean) == 20
    progress(25, 100)
    assert left((1, "running", RUNS), seconds=160, events=mean) == 300
    progress(7, 0)  # of an unknown total
    assert left((1, "running", RUNS), events=mean) == 20


def test_waiting_shards_come_after_those_that_run() -> None:
    assert left((2, "running", RUNS), (3, "queued", {}), seconds=160) == 60 + 2 * 160
    assert left((3, "queued", {}), seconds=160) is None
    assert left((1, "running", {"since": NOW - 500}), seconds=160) is None  # longer than planned


def test_shards_of_one_job_come_one_after_another() -> None:
    began = ({"event": "started", "task": "a", "shard": 1, "time": NOW - 40},)
    old = ({"event": "started", "task": "a", "shard": 2, "time": NOW - 900},)
    job = {"since": NOW - 200, "job_id": "7"}
    assert left((1, "finished", {}), (3, "running", job), seconds=160, events=old + began) == 120 + 2 * 160
    assert left((1, "finished", {}), (3, "running", job), seconds=160) == 3 * 160


def test_steps_of_earlier_attempts_say_nothing_of_this_ones_speed(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    progress(60, 100, "steps")
    before = ({"event": "interrupted", "task": "a", "shard": 0, "step": 50, "time": 1.0},)
    assert left((1, "running", RUNS), events=before) == 400
    before = ({"event": "requeue", "task": "a", "shard": 0, "progress": 50, "time": 1.0},)
    assert left((1, "running", RUNS), events=before) == 400
    stopped = {"event": "interrupted", "task": "a", "shard": 0, "time": 2.0}  # by Ctrl-C: it says no step
    assert left((1, "running", RUNS), events=(*before, stopped)) == 400


def test_a_data_shard_that_was_preempted_begins_anew(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    progress(60, 120)
    before = ({"event": "requeue", "task": "a", "shard": 0, "progress": 50, "time": 1.0},)
    assert left((1, "running", RUNS), events=before) == 100


def test_progress_of_an_earlier_attempt_is_not_taken(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    progress(60, 100)
    os.utime("progress/a.0.json", (NOW - 900, NOW - 900))
    assert left((1, "running", RUNS)) is None
