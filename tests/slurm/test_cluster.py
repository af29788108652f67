"""The one-host cluster: it runs jobs, breaks on request, heals, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
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
from tests.slurm import environment
from tests.slurm.cluster import Cluster, ClusterError, Shape, start_time

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm_programs")]


def ask(cluster: Cluster, *command: str) -> str:
    environment = {**os.environ, **cluster.environment}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120).stdout


def wait_until(condition) -> None:
    """Wait for something that stays so: a look at it takes long on a busy machine."""
    end = time.monotonic() + 300
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
        ask(cluster, "sbatch", "--output=/dev/null", "--wrap", "sleep 1000 & sleep 1000")
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
        wait_until(lambda: not cluster.alive("slurmctld"))
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


def submit(cluster: Cluster, *options: str) -> str:
    return ask(cluster, "sbatch", "--parsable", "--output=/dev/null", *options).strip()


def queue(cluster: Cluster, job: str, fields: str = "%T") -> str:
    return ask(cluster, "squeue", "--noheader", "--states=all", f"--jobs={job}", f"--format={fields}").strip()


def accounts(cluster: Cluster, job: str, fields: str = "State") -> list[str]:
    """What sacct has of the job's runs, the earliest first."""
    command = ("sacct", "-X", "--duplicates", "--noheader", "--parsable2", f"--jobs={job}", f"--format={fields}")
    return ask(cluster, *command).split()


def test_sacct_tells_of_a_job_with_its_comment(accounting_cluster):
    """What the queue forgets, with the comment and the devices that were handed out."""
    options = ("--job-name=kept", "--comment=run-7", "--gpus-per-node=1", "--wrap", "exit 3")
    job = submit(accounting_cluster, *options)
    wait_until(lambda: accounts(accounting_cluster, job, "State,JobName") == ["FAILED|kept"])  # the name last
    row, *_ = accounts(accounting_cluster, job, "Account,Comment,ExitCode,AllocTRES")
    assert row.startswith("lab|run-7|3:0|")
    assert "gres/gpu=1" in row


def test_accounts_are_kept_while_their_daemons_are_dead(accounting_cluster):
    """The controller keeps what ended meanwhile and tells it when they are back."""
    for daemon in ("slurmdbd", "mariadbd"):
        accounting_cluster.kill(daemon)
    with pytest.raises(subprocess.CalledProcessError):
        accounts(accounting_cluster, "1")
    job = submit(accounting_cluster, "--wrap", "true")
    wait_until(lambda: queue(accounting_cluster, job) == "COMPLETED")
    accounting_cluster.start()
    wait_until(lambda: accounts(accounting_cluster, job) == ["COMPLETED"])


def test_jobs_outlive_their_controller(fault_cluster):
    """Killed and started again, it knows the running job and the one that waits for it."""
    first = submit(fault_cluster, "--wrap", "sleep 1000")
    second = submit(fault_cluster, f"--dependency=afterok:{first}", "--wrap", "true")
    wait_until(lambda: queue(fault_cluster, first) == "RUNNING")
    fault_cluster.settle()
    fault_cluster.kill("slurmctld")
    assert not fault_cluster.alive("slurmctld")
    fault_cluster.start()
    assert (queue(fault_cluster, first), queue(fault_cluster, second, "%T %r")) == ("RUNNING", "PENDING Dependency")
    fault_cluster.cancel_jobs()
    assert ask(fault_cluster, "squeue", "--noheader") == ""


def restarts(cluster: Cluster, job: str) -> int:
    """How often a job was queued again: it may wait, or run once more already."""
    return int(re.search(r"Restarts=(\d+)", ask(cluster, "scontrol", "show", "job", job))[1])


def begin(cluster: Cluster, began: Path, *options: str) -> str:
    """Submit a job that can be queued again, and wait until it runs: that Slurm calls it running comes before."""
    job = submit(cluster, "--requeue", *options, "--wrap", f"echo >>{began}; sleep 1000")
    wait_until(began.exists)
    return job


def test_a_dead_node_s_job_runs_again_elsewhere(fault_cluster, tmp_path):
    """Its processes end with the node, those with an environment of their own too; healed, the node is back."""
    pids = tmp_path / "pids"
    script = f"echo $$ >> {pids}; env -i sh -c 'echo $$ >> {pids}; sleep 1000'"
    job = submit(fault_cluster, "--requeue", "--wrap", script)
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    node = queue(fault_cluster, job, "%N")
    before = [int(pid) for pid in pids.read_text().split()]
    began = {pid: start_time(pid) for pid in before}
    assert all(began.values())
    fault_cluster.kill_node(node)
    assert [pid for pid in before if start_time(pid) == began[pid]] == []
    wait_until(lambda: restarts(fault_cluster, job) == 1)
    assert fault_cluster.states()[node] == "down*"
    wait_until(lambda: queue(fault_cluster, job) == "RUNNING")
    assert queue(fault_cluster, job, "%N") not in {"", node}
    if fault_cluster.shape.accounting:
        wait_until(lambda: accounts(fault_cluster, job) == ["NODE_FAIL", "RUNNING"])
    fault_cluster.cancel_jobs()
    fault_cluster.start()
    wait_until(lambda: set(fault_cluster.states().values()) == {"idle"})


def test_a_node_that_is_marked_down_loses_its_job_at_once(fault_cluster, tmp_path):
    """The quick way for tests that do not measure how long Slurm takes to notice: it did not."""
    job = begin(fault_cluster, tmp_path / "began")
    node = queue(fault_cluster, job, "%N")
    fault_cluster.kill_node(node)
    fault_cluster.mark_down(node)
    wait_until(lambda: restarts(fault_cluster, job) == 1)
    assert "Reason=marked down by a test" in ask(fault_cluster, "scontrol", "show", "node", node)
    with pytest.raises(ClusterError, match=f"{node} does not run"):
        fault_cluster.kill(node)
    fault_cluster.cancel_jobs()


@pytest.mark.parametrize("partition", ["scavenge", "grace"])
def test_a_preempted_job_waits_and_runs_again(fault_cluster, tmp_path, partition):
    """A more urgent job takes its node; it goes back to the queue instead of failing."""
    whole = ("--nodes=4", "--exclusive")
    job = begin(fault_cluster, tmp_path / "began", f"--partition={partition}", *whole)
    urgent = submit(fault_cluster, "--partition=urgent", *whole, "--wrap", "true")
    wait_until(lambda: queue(fault_cluster, urgent) == "COMPLETED")
    wait_until(lambda: queue(fault_cluster, job) == "RUNNING")
    assert restarts(fault_cluster, job) == 1
    if fault_cluster.shape.accounting:
        wait_until(lambda: accounts(fault_cluster, job) == ["PREEMPTED", "RUNNING"])
    fault_cluster.cancel_jobs()


def test_a_paused_controller_answers_when_it_goes_on(fault_cluster):
    """While it hangs its clients give up after MessageTimeout; what they asked for is not lost on it."""
    fault_cluster.pause("slurmctld")
    with pytest.raises(subprocess.CalledProcessError):
        ask(fault_cluster, "squeue")
    fault_cluster.resume("slurmctld")
    wait_until(lambda: "UP" in ask(fault_cluster, "scontrol", "ping"))
    fault_cluster.pause("slurmctld")
    fault_cluster.start()
    assert "UP" in ask(fault_cluster, "scontrol", "ping")


def test_a_drained_node_gets_no_job_until_the_start(fault_cluster):
    """Drained on purpose, back in service when the cluster is healed."""
    fault_cluster.drain("n1")
    wait_until(lambda: fault_cluster.states()["n1"] == "drained")
    with pytest.raises(subprocess.CalledProcessError):
        ask(fault_cluster, "srun", "--immediate=1", "--nodelist=n1", "true")
    fault_cluster.start()
    assert ask(fault_cluster, "srun", "--nodelist=n1", "echo", "back") == "back\n"


def test_a_setting_can_be_left_out(short_directory):
    """None takes a line out of slurm.conf; a text replaces it."""
    settings = {"SlurmctldParameters": None, "MinJobAge": "2"}
    with Cluster(short_directory, Shape(nodes=1, preemption=True, settings=settings)) as cluster:
        said = ask(cluster, "scontrol", "show", "config")
    assert "preempt_send_user_signal" not in said
    assert "MinJobAge               = 2 sec" in said


def test_clusters_beside_each_other_keep_their_environments(tmp_path, monkeypatch):
    """Whichever ends first, the environment leads to one that runs, and in the end where it led before."""
    monkeypatch.setattr(environment, "_running", [])
    monkeypatch.setattr(environment, "_found", {})
    for name in [name for name in os.environ if name.startswith(environment.PREFIXES)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_CONF", "/elsewhere")
    monkeypatch.setenv("SBATCH_PARTITION", "theirs")
    monkeypatch.setenv("PYTHONPATH", "mine")
    with contextlib.ExitStack() as one, contextlib.ExitStack() as two:
        first = one.enter_context(environment.running(Cluster(tmp_path / "1", Shape(nodes=1))))
        second = two.enter_context(environment.running(Cluster(tmp_path / "2", Shape(nodes=1))))
        assert os.environ["SLURM_CONF"] == str(second.config)
        assert "SBATCH_PARTITION" not in os.environ
        environment.point_at(first)
        names = "%N %R"
        assert subprocess.check_output(["sinfo", "-ho", names]) == b"n1 main\n"
        one.close()
        assert os.environ["SLURM_CONF"] == str(second.config)
        two.close()
    left = {name: os.environ[name] for name in os.environ if name.startswith((*environment.PREFIXES, "PYTHONPATH"))}
    assert left == {"SLURM_CONF": "/elsewhere", "SBATCH_PARTITION": "theirs", "PYTHONPATH": "mine"}


def test_missing_programs_of_accounting_are_named_when_it_is_asked_for(monkeypatch, tmp_path):
    """A cluster without accounting does not need them."""
    monkeypatch.setattr(module, "ACCOUNTING_PROGRAMS", ("slurmdbd-of-tomorrow",))
    assert module.missing_programs() == []
    with pytest.raises(ClusterError, match="slurmdbd-of-tomorrow"):
        Cluster(tmp_path, Shape(accounting=True)).start()


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
        timeout=300,
    )


@pytest.mark.parametrize("user", [None, 65534], ids=["me", "an ordinary user"])
def test_it_runs_from_the_command_line(short_directory, user):
    """`up` prints an environment that works in a shell, twice over; `down` ends it."""
    if user is not None and os.geteuid() != 0:
        pytest.skip("only root can become another user")
    script = short_directory / "tests/slurm/cluster.py"
    script.parent.mkdir(parents=True)
    for name in ("cluster.py", "accounting.py", "processes.py"):
        shutil.copy(Path(module.__file__).with_name(name), script.parent)
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
