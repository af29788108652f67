"""The one-host cluster: it runs jobs, heals, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm import cluster as module
from tests.slurm.cluster import Cluster, ClusterError, Shape, start_time

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm_programs")]


def ask(cluster: Cluster, *command: str) -> str:
    environment = {**os.environ, **cluster.environment}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=30).stdout


def wait_until(condition, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A directory whose path leaves room for unix sockets, and that any user may enter."""
    path = Path(tempfile.mkdtemp(prefix="cluster-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_it_runs_jobs_on_its_nodes(slurm_cluster):
    """Both nodes take part, with devices that Slurm hands out."""
    said = ask(
        slurm_cluster,
        "srun",
        "--nodes=2",
        "--gpus-per-node=1",
        "sh",
        "-c",
        "echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES",
    )
    assert sorted(said.split("\n")) == ["", "n1 0", "n2 0"]


def test_nothing_is_left_after_it_stops(short_directory):
    """Neither daemons nor the processes of a job that was running, and a stopped cluster stops again."""
    with Cluster(short_directory, Shape(nodes=1)) as cluster:
        ask(cluster, "sbatch", "--output=/dev/null", "--wrap", "sleep 300 & sleep 300")
        wait_until(lambda: "R" in ask(cluster, "squeue", "--noheader", "--format=%t"))
        wait_until(lambda: len(cluster.strays()) >= 3)  # slurmstepd and what it started
        seen = [*cluster.strays(), *(pid for pid, _ in cluster._pids().values())]
        began = {pid: start_time(pid) for pid in seen}
    assert cluster.strays() == []
    assert [pid for pid in seen if began[pid] and start_time(pid) == began[pid]] == []
    cluster.stop()


def test_a_killed_daemon_is_started_again(short_directory):
    """Starting a cluster that lost a daemon brings that one back and leaves the others alone."""
    with Cluster(short_directory, Shape(nodes=1)) as cluster:
        before = cluster._pids()
        os.kill(before["slurmctld"][0], signal.SIGKILL)
        wait_until(lambda: not cluster._alive("slurmctld"))
        cluster.start()
        after = cluster._pids()
        assert after["slurmctld"] != before["slurmctld"]
        assert (after["munged"], after["n1"]) == (before["munged"], before["n1"])
        assert ask(cluster, "srun", "echo", "again") == "again\n"


def test_a_directory_with_a_long_path_works(tmp_path):
    """Sockets go elsewhere when the path is longer than a unix socket's may be."""
    directory = tmp_path / ("long" * 30)
    with Cluster(directory, Shape(nodes=1, gpus=0)) as cluster:
        assert ask(cluster, "srun", "echo", "there") == "there\n"
        assert cluster.short != directory
    assert not cluster.short.exists()


def test_a_recorded_pid_that_belongs_to_another_process_is_left_alone(short_directory):
    """The pid alone does not make a process ours: a later process may have got it."""
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        cluster = Cluster(short_directory)
        (short_directory / "run").mkdir()
        cluster._record({"munged": (sleeper.pid, "1")})
        cluster.stop()
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_white_space_in_the_directory_is_refused_by_name(tmp_path):
    """slurm.conf has no quoting, so the message says which directory it is."""
    with pytest.raises(ClusterError, match=r"white space.*with blank"):
        Cluster(tmp_path / "with blank").start()


def test_a_daemon_that_fails_shows_its_log(short_directory):
    """The error carries what the daemon said, and nothing is left running."""
    cluster = Cluster(short_directory, Shape(settings={"SelectType": "select/absent"}))
    with pytest.raises(ClusterError, match=r"(?s)slurmctld exited.*select/absent"):
        cluster.start()
    assert cluster.strays() == []


def test_missing_programs_are_named(monkeypatch, tmp_path):
    """Without Slurm the error says what is missing and how to get it."""
    monkeypatch.setattr(module, "PROGRAMS", ("munged", "slurmctld-of-tomorrow"))
    with pytest.raises(ClusterError, match=r"slurmctld-of-tomorrow; run tests/slurm/install\.sh"):
        Cluster(tmp_path).start()


def run_as(user: int | None, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("user", [None, 65534], ids=["me", "an ordinary user"])
def test_it_runs_from_the_command_line(short_directory, user):
    """`up` prints an environment that works in a shell, twice over; `down` ends it."""
    if user is not None and os.geteuid() != 0:
        pytest.skip("only root can become another user")
    script = short_directory / "cluster.py"
    shutil.copy(module.__file__, script)
    script.chmod(0o644)
    python = "/usr/bin/python3" if user is not None and Path("/usr/bin/python3").exists() else sys.executable
    directory = short_directory / "c"
    directory.mkdir()
    if user is not None:
        os.chown(directory, user, user)
    up = run_as(user, python, str(script), "up", str(directory))
    try:
        assert up.returncode == 0, up.stderr
        assert run_as(user, python, str(script), "up", str(directory)).stdout == up.stdout
        job = run_as(user, "sh", "-c", f"{up.stdout}\nsrun id -u")
        assert job.stdout == f"{os.geteuid() if user is None else user}\n", job.stderr
    finally:
        down = run_as(user, python, str(script), "down", str(directory))
    assert (down.returncode, down.stderr) == (0, "")
    assert json.loads((directory / "run/pids.json").read_text()) == {}
    assert Cluster(directory).strays() == []
