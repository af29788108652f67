"""The command line on a real cluster: each verb in a process of its own, as people and scripts call it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs
import pytest

from compiler.plan import Plan
from runtime.dispatch.slurm.run import SlurmRun
from tests.slurm.graph import attempts, behave, make_plan, make_run, step

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm_cluster")]

ROOT = Path(__file__).parents[2]
PROFILE = 'profile = "lab"\n[profiles.lab]\ndispatch = "slurm"\nminutes = 30\n'
PATIENCE_S = 300.0  # of a machine that does other things as well
TWO = make_plan(step("code/sign", shards=3), step("code/group", ["code/sign"]))


@attrs.frozen
class Place:
    """A plan in its directory, and the command line there."""

    run: SlurmRun

    @property
    def directory(self) -> Path:
        return self.run.run_dir

    def start(self, *argv: str, **environ: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.slurm.command", argv[0], *argv[1:], "--store", "store"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **environ}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.directory, env=environment, stdout=pipe, stderr=pipe, text=True)

    def __call__(self, *argv: str, code: int = 0, **environ: str) -> tuple[str, str]:
        """What it printed on stdout and stderr, once it ended with that exit code."""
        with self.start(*argv, **environ) as process:
            try:
                out, err = process.communicate(timeout=PATIENCE_S)
            except BaseException:
                process.kill()
                raise
        assert process.returncode == code, (out, err)
        assert "Traceback" not in err
        return out, err

    def json(self, *argv: str) -> dict:
        return json.loads(self(*argv, "--json")[0])

    def states(self) -> dict[str, str]:
        return {task["id"]: task["state"] for task in self.json("status", ".")["tasks"]}

    def until(self, condition: Callable[[list[str]], bool]) -> None:
        """Wait until a condition holds of the states of the first task's shards, one that holds from then on."""
        end = time.monotonic() + PATIENCE_S
        while not condition(states := [state.state for state in self.run.look()[0]]):
            assert time.monotonic() < end, states
            time.sleep(0.3)

    def begun(self, task_id: str, shard: int) -> None:
        """Wait until a shard does its work: a job that Slurm calls running has no process yet, and no log."""
        end = time.monotonic() + PATIENCE_S
        while not attempts(self.directory, task_id, shard):
            assert time.monotonic() < end, self.run.look()
            time.sleep(0.1)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """Makes a plan's directory; its jobs do not outlive the test."""
    made: list[Place] = []

    def make(plan: Plan, behaviours: Mapping[str, str] | None = None, *, name: str = "run", more: str = "") -> Place:
        made.append(Place(make_run(tmp_path / name, plan, behaviours)))
        (tmp_path / name / "ocspec.toml").write_text(PROFILE + more)
        return made[-1]

    yield make
    for one in made:
        one.run.cancel()


def test_submit_returns_and_status_and_logs_follow_from_elsewhere(place, tmp_path: Path) -> None:
    here = place(TWO, {"code/sign.0": f"wait {tmp_path / 'go'}"})
    out, err = here("submit", ".")  # and the first shard waits for us
    assert out == "graph: 2 tasks queued as 4 jobs\n"
    assert "ocspec logs TASK --follow" in err
    here.begun("code/sign", 0)
    shown = here("status", ".")[0]
    assert re.search(r"^  code/sign +running +[\d.]+ (min \d+ )?s  .*\d+ on n\d", shown, re.MULTILINE), shown
    assert re.search(r"^  code/group +queued \(Dependency\) ", shown, re.MULTILINE), shown
    assert max(map(len, shown.splitlines())) <= 80
    follower = here.start("logs", "code/sign", ".", "--follow", "--shard", "1")
    waiting = here.start("logs", "code/group", ".", "--follow")
    assert waiting.stderr.readline() == "code/group is queued (Dependency); waiting for its log\n"
    log = Path(here.directory, here("logs", "code/sign", ".", "--paths", "--shard", "1")[0].strip())
    with log.open("a") as file:
        file.write("half way\n")
    assert follower.stdout.readline() == "half way\n"
    assert follower.poll() is None
    (tmp_path / "go").touch()
    assert follower.wait(PATIENCE_S) == 0
    assert waiting.wait(PATIENCE_S) == 0
    assert here.states() == {"code/sign": "finished", "code/group": "finished"}
    assert "code  2 finished" in here("status", ".")[0]
    assert here("submit", ".")[0] == "graph: nothing to do; all 2 tasks are finished\n"


def test_cancelled_elsewhere_and_submitted_again_only_what_is_missing_runs(place) -> None:
    here = place(TWO, {"code/sign.0": "sleep 1000"})
    here("submit", ".")
    here.begun("code/sign", 0)
    here.until(lambda states: states[1:3] == ["finished"] * 2)
    assert here.json("cancel", ".")["jobs"] >= 2
    assert here.states() == {"code/sign": "cancelled", "code/group": "cancelled"}
    assert here("cancel", ".")[0] == "graph: no job is queued or running\n"
    behave(here.directory, {})
    first = here.json("submit", ".")
    assert [(one["task"], one["elements"]) for one in first["submissions"]] == [
        ("code/sign", [[0]]),
        ("code/group", [[0]]),
    ]
    assert here.json("submit", ".")["submissions"] == []
    out, err = here("submit", ".", "--wait")
    assert out.startswith(("2 ran, 0 reused", "1 ran, 1 reused", "0 ran, 2 reused")), (out, err)
    assert [len(attempts(here.directory, "code/sign", shard)) for shard in range(3)] == [2, 1, 1]


@pytest.mark.parametrize("supervised", [True, False])
def test_waiting_goes_on_until_retries_are_over(place, supervised: bool) -> None:
    """In the cluster or, where the profile wants none there, by the process that waits."""
    plan = make_plan(step("sign", memory_mb=100), step("group", ["sign"]))
    here = place(plan, {"sign": "need 150"}, more=f"supervise = {str(supervised).lower()}\n")
    out, err = here("submit", ".", "--wait")
    assert out.startswith("2 ran, 0 reused, 0 cut off, 0 failed in ")
    retries = [event for event in here.run.ledger.journal.read() if event["event"] == "retry"]
    assert [(one["task"], one["cause"]) for one in retries if one["task"] == "sign"] == [("sign", "out_of_memory")]
    assert err.rstrip().endswith("done       group")
    assert "error: " not in err


def test_a_failure_is_told_with_its_log_and_by_the_exit_code(place) -> None:
    plan = make_plan(step("sign", shards=2), step("group", ["sign"]), step("other"))
    here = place(plan, {"sign.1": "refuse"})
    out, err = here("submit", ".", "--wait", code=1)
    assert out.startswith("1 ran, 0 reused, 0 cut off, 1 failed, 1 not started in ")
    assert re.search(r"^error: sign, shard 2 of 2: 47 rows have no licence\n  log: logs/slurm/sign/.*out$", err, re.M)
    shown = here("status", ".")[0]
    assert "\n    shard 2 of 2: error: 47 rows have no licence\n" in shown
    out, err = here("logs", "sign", ".", "--follow", code=1)
    assert re.search(r"^\[2\] error: .*47 rows have no licence$", out, re.MULTILINE), out
    (failed,) = [
        shard for task in here.json("status", ".")["tasks"] for shard in task["unfinished"] if shard["cause"] == "error"
    ]
    assert (failed["shard"], failed["state"]) == (1, "failed")
    assert re.fullmatch(r"\d+_1", failed["job_id"])


def test_ctrl_c_leaves_the_jobs(place) -> None:
    here = place(TWO, {"code/sign": "sleep 1000"})
    with here.start("submit", ".", "--wait") as process:
        for line in process.stderr:
            if "running    code/sign" in line:
                break
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert "stopped waiting; the jobs go on" in process.stderr.read()
    assert here.states()["code/sign"] == "running"


def test_a_dry_run_prints_the_scripts_and_queues_nothing(place) -> None:
    here = place(TWO)
    scripts = here.json("submit", ".", "--dry-run")["scripts"]
    assert [(one["task"], one["elements"]) for one in scripts] == [
        ("code/sign", [[0], [1], [2]]),
        ("code/group", [[0]]),
    ]
    assert "#SBATCH --array=0-2" in scripts[0]["script"]
    before = re.search(r"--job-name=\S+\.(\w{8})$", scripts[0]["script"], re.MULTILINE)[1]
    assert f"#SBATCH --dependency=afterok:JOB-{before}\n" in scripts[1]["script"]
    out, err = here("submit", ".", "--dry-run")
    assert out.startswith("==> code/sign: 3 shards in 3 jobs <==\n#!/bin/bash\n")
    assert "2 batch scripts; nothing is queued" in err
    assert here.run.look()[1].rows == {}
    assert not here.run.ledger.directory.exists()


def test_two_submits_at_once_queue_everything_once(place) -> None:
    here = place(make_plan(*(step(f"sign{number}") for number in range(12))))
    both = [here.start("submit", ".") for _ in range(2)]
    told = [process.communicate(timeout=PATIENCE_S) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sorted(len(one.shards) for one in here.run.ledger.submissions()) == [1] * 12


def test_what_slurm_cannot_run_is_refused_at_once_and_nothing_is_queued(place) -> None:
    plan = make_plan(step("big", cpus=1000), step("fine"), step("huge", memory_mb=10**9))
    out, err = place(plan)("submit", ".", code=1)
    assert out == ""
    assert err.count("error: ") == 2
    assert "'big'" in err
    assert "'huge'" in err


def test_without_slurm_the_journal_is_shown(place, tmp_path: Path) -> None:
    here = place(TWO, {"code/sign.0": f"wait {tmp_path / 'go'}"})
    here("submit", ".")
    here.begun("code/sign", 0)
    here.until(lambda states: states[1:3] == ["finished"] * 2)
    began = time.monotonic()
    out, err = here("status", ".", PATH=str(tmp_path))
    assert time.monotonic() - began < 100  # it does not wait for Slurm, which it would for 300 s
    assert "Slurm does not answer (squeue: No such file or directory)" in err
    assert "2 finished, 1 running" in out
    assert "1 running, 1 queued" in out


def test_hostile_names_and_places(place) -> None:
    bad = "it's \"a\n\x1b[31mü"
    plan = make_plan(step(f"{bad}/sign", shards=2), step("group", [f"{bad}/sign"]), experiment=f"{bad}.experiment")
    here = place(plan, {f"{bad}/sign.1": "refuse"}, name="some where's \"ü")
    here("submit", ".", "--dry-run")
    out, err = here("submit", ".", "--wait", code=1)
    said = out + err
    for argv, code in [
        (("status", "."), 0),
        (("status", ".", "--task", f"{bad}/sign"), 0),
        (("logs", f"{bad}/sign", ".", "--paths"), 0),
        (("logs", f"{bad}/sign", ".", "--follow"), 1),
        (("submit", ".", "--json"), 0),
        (("cancel", "."), 0),
    ]:
        said += "".join(here(*argv, code=code))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said)
    assert "it's \"a\\n\\x1b[31mü/sign" in said
