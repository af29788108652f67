"""The entry on a node, outside of Slurm: real workers, signals to them, and what is noted and asked for afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest

from runtime import worker
from runtime.dispatch.slurm.ledger import STARTED_VARIABLE, Ledger, Submission
from runtime.dispatch.slurm.run import SlurmRun
from runtime.interruption import EXIT_CODE as AGAIN
from runtime.node import RANK_FAILED, Node, Notice, markers
from tests.runtime.children import wait_for
from tests.slurm.graph import WORKER, attempts, behave, make_plan, make_run, step

ROOT = Path(__file__).resolve().parents[2]
HOUR = 60


@pytest.fixture
def run(tmp_path) -> SlurmRun:
    """A data task and a training task."""
    return make_run(tmp_path, make_plan(step("data", shards=3), step("train", task_class="train")))


def submission(run: SlurmRun, task: str = "data", elements=((0,),), **changes) -> Submission:
    """One that is written down, of a job that has an hour."""
    given = {
        "id": "0a000001",
        "task": task,
        "task_class": run.plan.task(task).resources.task_class,
        "plan": str(run.plan_path),
        "store": str(run.store.root),
        "run_dir": str(run.run_dir),
        "elements": elements,
        "minutes": HOUR,
        "signal_s": 90,
        "restarts": 10,
        "time": time.time(),
        "worker": WORKER,
    }
    one = Submission(**{**given, **changes})
    Ledger(run.run_dir).open(one)
    return one


def start(run: SlurmRun, one: Submission, **environ: str) -> subprocess.Popen[str]:
    """The entry in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    path = str(Ledger(run.run_dir).path(one.id))
    return subprocess.Popen(
        [sys.executable, "-m", "runtime.node", path],
        env={**clean, "PYTHONPATH": str(ROOT), "SLURM_MEM_PER_NODE": "200", **environ},
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    said = process.communicate(timeout=600)[1]
    return process.returncode, said


def noted(run: SlurmRun, *kinds: str) -> list[dict]:
    return [event for event in run.ledger.journal.read() if event["event"] in kinds]


def failures(run: SlurmRun) -> dict[int, tuple[str, str]]:
    return {event["shard"]: (event["cause"], event["error"]) for event in noted(run, "shard_failed")}


# -- what becomes of shards


def test_one_failing_shard_does_not_stop_the_others_of_an_element(run):
    """All run one after another; the exit code says that one failed, and the journal which, and why."""
    behave(run.run_dir, {"data.0": "refuse"})
    one = submission(run, elements=((2,), (0, 1)))
    code, said = finish(start(run, one, SLURM_ARRAY_TASK_ID="1", SLURM_JOB_ID="71", SLURM_RESTART_COUNT="2"))
    assert code == 1
    assert failures(run) == {0: ("error", "47 rows have no licence")}
    assert "error: 47 rows have no licence" in said
    assert "shard 0: error: 47 rows have no licence" in said
    assert "Traceback" not in said
    assert [len(attempts(run.run_dir, "data", shard)) for shard in range(3)] == [1, 1, 0]
    (began,) = noted(run, "running")
    assert (began["submission"], began["element"], began["job"], began["restart"]) == ("0a000001", 1, "71", 2)
    assert {event["shard"] for event in noted(run, "finished")} == {1}


def test_what_ends_a_worker_is_its_cause(run):
    """It ran out of memory, it was killed, it ended without a word."""
    behave(run.run_dir, {"data.0": "need 400", "data.1": "crash", "data.2": "sleep 600"})
    process = start(run, submission(run, elements=((0, 1, 2),), memory_mb=200))
    wait_for(lambda: attempts(run.run_dir, "data", 2))
    os.kill(noted(run, "started")[-1]["pid"], signal.SIGKILL)
    code, said = finish(process)
    assert code == 1
    causes = failures(run)
    assert {shard: cause for shard, (cause, _) in causes.items()} == {
        0: "out_of_memory",
        1: "error",
        2: "out_of_memory",
    }
    assert "of 200 MB" in causes[0][1]
    assert causes[1][1] == "exit code 7"
    assert "Traceback" not in said


def test_a_preempted_data_shard_asks_to_be_queued_again(run):
    """With a marker for the batch script; what comes after it in the element is left for then."""
    behave(run.run_dir, {"data.1": "sleep 600"})
    one = submission(run, elements=((0, 1, 2),))
    process = start(run, one, SLURM_RESTART_COUNT="3")
    wait_for(lambda: attempts(run.run_dir, "data", 1))
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == AGAIN
    marker = markers(run.run_dir, one.id) / "0.3"
    assert marker.read_text() == "preempted\n"
    (asked,) = noted(run, "requeue")
    assert (asked["cause"], asked["shard"], asked["restart"]) == ("preempted", 1, 3)
    assert failures(run) == {}
    assert attempts(run.run_dir, "data", 2) == []
    behave(run.run_dir, {})
    assert finish(start(run, one, SLURM_RESTART_COUNT="4"))[0] == 0
    assert [len(attempts(run.run_dir, "data", shard)) for shard in range(3)] == [1, 2, 1]


def test_a_data_shard_may_finish_in_the_time_that_is_left(run):
    """It has no checkpoint: the signal before the time limit ends nothing."""
    behave(run.run_dir, {"data": f"wait {(gate := run.run_dir / 'gate')}"})
    one = submission(run, minutes=1, signal_s=50)
    process = start(run, one)
    wait_for(lambda: attempts(run.run_dir, "data", 0))
    process.send_signal(signal.SIGUSR2)
    time.sleep(1)  # in which it could be ended
    gate.touch()
    assert finish(process) == (0, "")
    assert len(attempts(run.run_dir, "data", 0)) == 1
    assert noted(run, "requeue") == []


def test_an_error_after_that_signal_is_an_error(run):
    """And no timeout, which would be tried again and again; after a TERM nobody can tell."""
    one = submission(run, minutes=1)
    for number, expected in ((signal.SIGUSR2, "error"), (signal.SIGTERM, "timeout")):
        told = Node(one, 0, {}, notice=Notice(number, time.time() + 59))
        assert told._why(1, 0)[0] == expected
    assert Node(one, 0, {}, notice=Notice(signal.SIGUSR2, time.time()))._why(137, 0)[0] == "out_of_memory"


def test_training_stops_at_the_signal_and_asks_to_go_on(run):
    """Whether it comes before the time limit or with a preemption: the cause tells which."""
    behave(run.run_dir, {"train": "sleep 600"})
    for number, (minutes, cause) in enumerate(((1, "timeout"), (HOUR, "preempted"))):
        one = submission(run, "train", minutes=minutes)
        process = start(run, one, SLURM_RESTART_COUNT=str(number))
        wait_for(lambda: len(attempts(run.run_dir, "train", 0)) > number)  # noqa: B023
        process.send_signal(signal.SIGUSR2)
        code, said = finish(process)
        assert (code, failures(run)) == (AGAIN, {})
        assert "stopped on request" in said
        assert (markers(run.run_dir, one.id) / f"0.{number}").read_text() == f"{cause}\n"
        assert noted(run, "requeue")[-1]["cause"] == cause


def test_a_submission_that_cannot_be_read_is_one_message(tmp_path):
    """In the job's log."""
    done = subprocess.run(
        [sys.executable, "-m", "runtime.node", str(tmp_path / "none.json")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("number", "seconds_left", "cause"),
    [
        (signal.SIGUSR2, 90, "timeout"),
        (signal.SIGUSR2, 150, "timeout"),  # Slurm may send it a minute earlier than asked for
        (signal.SIGUSR2, 200, "preempted"),
        (signal.SIGTERM, 0, "timeout"),
        (signal.SIGTERM, 90, "preempted"),
    ],
)
def test_a_signal_near_the_time_limit_is_that_of_the_limit(run, number, seconds_left, cause):
    """Any other is a preemption, which does not count against a job that makes no progress."""
    told = Node(submission(run, minutes=10, signal_s=90), 0, {}, began=1000.0)
    told.notice.take(number, None)
    told.notice.at = 1000.0 + 600 - seconds_left
    assert told._cause == cause
    told.notice.take(signal.SIGTERM, None)
    told.notice.take(signal.SIGUSR2, None)
    assert told.notice.number == signal.SIGTERM


# -- whether it is queued again


def node(run: SlurmRun, task: str = "train", restarts: int = 0, rank: int = 0, **changes) -> Node:
    """A node whose job was just told that its time is nearly over."""
    one = submission(run, task, minutes=1, **changes)
    environ = {"SLURM_RESTART_COUNT": str(restarts), "SLURM_PROCID": str(rank)}
    return Node(one, 0, environ, notice=Notice(signal.SIGUSR2, time.time()))


def progress(run: SlurmRun, done: int) -> None:
    path = run.run_dir / "progress" / "train.0.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"done": done, "total": 100, "unit": "steps"}))


def test_restarts_are_bounded(run):
    """As many as the submission says."""
    last, over = node(run, restarts=1), node(run, restarts=2)
    last.submission = over.submission = attrs.evolve(last.submission, restarts=2)
    assert last._queue_again(0) == AGAIN
    assert over._queue_again(0) == 1
    assert failures(run) == {0: ("timeout", "queued again 2 times already")}
    assert [path.name for path in markers(run.run_dir, "0a000001").iterdir()] == ["0.1"]


def test_training_that_makes_no_step_is_given_up_at_the_third_time_limit(run):
    """A step in between begins the count anew; a preemption does not count."""
    progress(run, 10)
    assert [node(run, restarts=number)._queue_again(0) for number in range(2)] == [AGAIN] * 2
    progress(run, 11)
    assert node(run, restarts=2)._queue_again(0) == AGAIN
    assert node(run, restarts=3)._queue_again(0) == AGAIN
    preempted = node(run, restarts=4)
    preempted.notice.at -= 3600
    assert preempted._queue_again(0) == AGAIN
    assert noted(run, "requeue")[-1]["cause"] == "preempted"
    assert node(run, restarts=5)._queue_again(0) == 1
    assert failures(run) == {0: ("no_progress", "no step in 3 times 1 minutes")}


def test_a_data_shard_at_its_time_limit_has_failed(run):
    """It would take as long again: the supervisor decides."""
    assert node(run, "data")._queue_again(0) == 1
    assert failures(run) == {0: ("timeout", "not finished after 1 minutes")}


def test_of_several_ranks_the_first_one_decides_and_the_others_let_it(run):
    """One that stopped ends well, so that srun does not kill the first while it saves; it leaves no marker."""
    progress(run, 10)
    for restart in range(2):
        assert node(run, restarts=restart)._queue_again(0) == AGAIN
        assert node(run, restarts=restart, rank=1)._queue_again(0) == AGAIN
    assert len(noted(run, "requeue")) == 2
    assert failures(run) == {}
    first, other = node(run), node(run, rank=1)
    assert [first._spoken(code) for code in (0, 1, AGAIN)] == [0, 1, AGAIN]
    assert [other._spoken(code) for code in (0, 1, AGAIN)] == [0, RANK_FAILED, 0]
    assert RANK_FAILED > AGAIN


def test_a_rank_that_fails_says_why_itself(run):
    """The first one is about to be killed for it."""
    behave(run.run_dir, {"train": "crash"})
    code, _ = finish(start(run, submission(run, "train"), SLURM_PROCID="1"))
    assert code == RANK_FAILED
    assert failures(run) == {0: ("error", "exit code 7")}
    assert noted(run, "running") == []


def test_a_shard_that_takes_its_node_with_it_is_given_up(run):
    """Slurm would queue it again for ever, and bring down one node after another."""
    one = submission(run, crashes=2)
    for _ in range(3):
        Node(one, 0, {}).write("running")
    Node(one, 0, {}).write("requeue", cause="preempted", shard=0)
    assert finish(start(run, one, SLURM_RESTART_COUNT="3"))[0] == 0, "two crashes and one preemption"
    Node(one, 0, {}).write("running")
    code, _ = finish(start(run, one, SLURM_RESTART_COUNT="5"))
    assert code == 1
    assert failures(run)[0] == ("no_progress", "its node or its job was gone 4 times while it ran")


def test_the_time_limit_counts_from_the_start_of_the_job(run):
    """Not from that of this process: modules and images may take minutes before."""
    began = Node(submission(run), 0, {STARTED_VARIABLE: "1000"}).began
    assert began == 1000.0


# -- the worker's part


class OutOfMemoryException(Exception):
    """As DuckDB's is called."""


@pytest.mark.parametrize(
    ("error", "code"),
    [(MemoryError("no room for 8 GiB"), 137), (OutOfMemoryException("could not allocate"), 137)],
)
def test_a_worker_that_ran_out_of_memory_says_so_in_one_line(monkeypatch, capsys, error, code):
    """With an exit code of its own; without a traceback; anything else has one."""
    monkeypatch.setattr(sys, "argv", ["worker", "plan.json", "t", "0", "--store", "."])
    handlers = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}

    def raising(*_) -> None:
        raise error

    monkeypatch.setattr(worker, "_run_as_process", raising)
    try:
        assert worker.main() == code
        said = capsys.readouterr().err
        assert said.startswith("error: out of memory: ")
        assert str(error) in said
        assert said.count("\n") == 1
        error = ValueError("7")
        with pytest.raises(ValueError, match="7"):
            worker.main()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
