"""ocspec status: the store and the journal, read together."""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path

from runtime.journal import Journal

JOURNAL = Journal(Path("build/tiny/journal"))
NO_PROCESS = 2**22 + 1  # above the largest process id that Linux gives out


def state(ocspec, task: str) -> tuple[str, str]:
    tasks = json.loads(ocspec("status", "--json").out)["tasks"]
    (found,) = [row for row in tasks if row["id"] == task]
    return found["state"], found["detail"]


def test_everything_is_finished_after_a_run(ocspec, built: Path) -> None:
    result = ocspec("status")
    assert result.code == 0
    assert re.search(r"^code/sign +finished +[\d.]+ s$", result.out, re.MULTILINE)
    assert result.out.endswith("\ntiny: 14 tasks, 14 finished, 0 running, 0 failed, 0 missing\n")


def test_nothing_has_run_before_the_first_submit(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    assert "0 finished, 0 running, 0 failed, 14 missing" in ocspec("status").out


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


def test_finished_shards_are_counted(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec), "--shards", "3")
    for shard in (0, 1):
        JOURNAL.write("started", task="code/sign", shard=shard, host=platform.node(), pid=NO_PROCESS)
        JOURNAL.write("finished", task="code/sign", shard=shard, seconds=1.0)
    assert state(ocspec, "code/sign") == ("missing", "2 of 3 shards finished")
    JOURNAL.write("started", task="code/sign", shard=2, host=platform.node(), pid=os.getpid())
    assert state(ocspec, "code/sign") == ("running", "2 of 3 shards finished")


def test_a_retry_takes_the_failure_back(ocspec, spec: Path) -> None:
    ocspec("compile", str(spec))
    JOURNAL.write("failed", task="code/sign", shard=0, error="no space left")
    assert state(ocspec, "code/sign") == ("failed", "no space left")
    JOURNAL.write("started", task="code/sign", shard=0, host=platform.node(), pid=os.getpid())
    assert state(ocspec, "code/sign") == ("running", "")
