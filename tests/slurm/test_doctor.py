"""ocspec doctor --profile on a real cluster: what works is said to, and each thing that does not, with its fix."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster

pytestmark = pytest.mark.slurm
COMMAND = [sys.executable, "-m", "ocspec.cli", "doctor", "--profile", "lab", "--json"]


@pytest.fixture
def place(slurm_cluster: Cluster, tmp_path: Path) -> Path:
    """A working directory with signs of the shell in its path."""
    path = tmp_path / "it's a $(touch owned) ü 100%j"
    path.mkdir()
    return path


def settings(place: Path, **entries: object) -> None:
    given = {"dispatch": "slurm", "partition": "main", "python": sys.executable, **entries}
    lines = [f"{name} = {_toml(value)}" for name, value in given.items()]
    (place / "ocspec.toml").write_text("\n".join(["[profiles.lab]", *lines, ""]))


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


def doctor(place: Path, *more: str, **environment: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code and what was found, by what was looked at; on a busy machine a node's answer takes its time."""
    patience = () if "--timeout" in more else ("--timeout", "600")
    done = subprocess.run(
        [*COMMAND, *more, *patience],
        cwd=place,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout, done.stderr
    return done.returncode, {finding["what"]: finding for finding in json.loads(done.stdout)["findings"]}


def left_in_queue() -> str:
    queue = ["squeue", "--noheader", "--format=%j", "--states=PENDING,RUNNING"]
    end = time.monotonic() + 60
    while True:
        names = subprocess.run(queue, capture_output=True, text=True, check=True).stdout.splitlines()
        found = " ".join(name for name in names if name.startswith("ocspec-doctor-"))
        if not found or time.monotonic() >= end:
            return found
        time.sleep(0.2)


def test_a_cluster_that_works(place: Path) -> None:
    """Everything that a run needs was tried; no job and no file is left."""
    environment = {"HF_HOME": "/it's $HOME", "KEY": "env:MY_KEY"}
    settings(place, scratch=f"{place}/scratch", environment=environment)
    code, found = doctor(place, MY_KEY="not to be seen")
    wrong = {what: finding for what, finding in found.items() if finding["verdict"] != "ok"}
    stacks = {"node: kernels", "node: megatron-core", "node: nemo-toolkit"}  # an environment of their own has them
    assert set(wrong) <= {"accounting", *stacks}
    assert {finding["verdict"] for finding in wrong.values()} <= {"absent"}
    assert code == 0
    looked = {what.removeprefix("node: ") for what in found if what.startswith("node: ")}
    assert looked == {
        *("python", "imports", "store", "plan directory", "scratch", "clock", "limits", "slurm"),
        *("torch", "kernels", "megatron-core", "nemo-toolkit"),
    }  # fmt: skip
    assert {"slurm", "controller", "settings", "accounting", "environment"} <= set(found)
    assert "MaxArraySize 4" in found["settings"]["found"]
    assert found["environment"]["found"] == "KEY set"
    assert "not to be seen" not in json.dumps(found)
    assert sorted(path.name for path in place.iterdir()) == ["ocspec.toml", "scratch"]
    assert left_in_queue() == ""


def test_a_partition_that_is_not_there(place: Path) -> None:
    """Said once, with those that are."""
    settings(place, partition="mian")
    code, found = doctor(place)
    assert code == 1
    refused = found["request of fetch, data, group, train, eval"]
    assert refused["verdict"] == "missing"
    assert "invalid partition" in refused["found"].lower()
    assert refused["fix"] == "set partition in [profiles.lab] or [profiles.lab.classes.fetch] to one of main"
    assert not [what for what in found if what.startswith("node")]


def test_more_memory_than_a_node_has(place: Path) -> None:
    """What the class asks for, and what the nodes have."""
    settings(place, classes={"group": {"memory_mb": 1_000_000}})
    code, found = doctor(place)
    assert code == 1
    assert found["request of group"]["verdict"] == "missing"
    assert "1000000MB" in found["request of group"]["found"]
    assert "16000 MB" in found["request of group"]["fix"]
    assert "[profiles.lab.classes.group]" in found["request of group"]["fix"]
    assert found["node: python"]["verdict"] == "ok"


@pytest.mark.parametrize(
    ("change", "back", "entries", "said", "fix"),
    [
        ("MaxTime=10", "MaxTime=INFINITE", {}, "PartitionTimeLimit: 60 minutes asked", "lower minutes in"),
        ("State=DOWN", "State=UP", {}, "PartitionDown", "one that is up"),
        ("AllowAccounts=abc", "AllowAccounts=ALL", {"account": "us"}, "account 'us' may not use main", "set account"),
        ("AllowQos=normal", "AllowQos=ALL", {"qos": "high"}, "qos 'high' may not use main", "set qos"),
        ("State=UP", "State=UP", {"constraint": "a100"}, "Invalid feature specification", "set constraint"),
        ("State=UP", "State=UP", {"sbatch": {"nonsense": "1"}}, "unrecognized option '--nonsense", "sbatch = {"),
        ("State=UP", "State=UP", {"cpus": 99}, "node configuration is not available", "16000 MB"),
    ],
)
def test_what_slurm_would_refuse_or_never_run(
    place: Path, change: str, back: str, entries: dict[str, object], said: str, fix: str
) -> None:
    """Some of it sbatch takes without a word, to let it wait for ever."""
    settings(place, **entries)
    subprocess.run(["scontrol", "update", "PartitionName=main", change], check=True)
    try:
        code, found = doctor(place, "--timeout", "1")
    finally:
        subprocess.run(["scontrol", "update", "PartitionName=main", back], check=True)
    assert code == 1
    refused = found["request of fetch, data, group, train, eval"]
    assert said in refused["found"]
    assert fix in refused["fix"]


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python without any package."""
    directory = tmp_path_factory.mktemp("bare")
    venv.create(directory, with_pip=False, symlinks=True)
    return str(directory / "bin" / "python")


def test_a_python_without_the_package(place: Path, bare_python: str) -> None:
    """It cannot even start to look."""
    settings(place, python=bare_python, setup=["unset PYTHONPATH"])
    code, found = doctor(place)
    assert code == 1
    assert found["node: probe"]["verdict"] == "missing"
    assert "No module named 'runtime'" in found["node: probe"]["found"]
    assert "set python in the profile to one with ocspec" in found["node: probe"]["fix"]


def test_a_python_without_what_the_package_needs(place: Path, bare_python: str) -> None:
    """Each package is named, with what needs it."""
    settings(place, python=bare_python)
    code, found = doctor(place)
    assert code == 1
    assert found["node: imports"]["verdict"] in {"missing", "absent"}
    assert found["node: python"]["verdict"] in {
        "ok",
        "missing",
    }  # where ocspec is not installed, its version is unknown


def test_a_python_that_is_not_on_the_node(place: Path) -> None:
    settings(place, python="/nowhere/python")
    code, found = doctor(place)
    assert code == 1
    assert "/nowhere/python" in found["node: probe"]["found"]
    assert "set python in the profile" in found["node: probe"]["fix"]


def test_a_store_that_cannot_be_written(place: Path) -> None:
    """Said of this side and of the node's."""
    settings(place)
    (place / "store").write_text("")
    code, found = doctor(place, "--store", "store")
    assert code == 1
    assert "is no directory" in found["store"]["found"]
    assert found["node: store"]["verdict"] == "missing"
    assert found["node: store"]["fix"] == "choose another directory"
    assert found["node: plan directory"]["verdict"] == "ok"


def test_a_store_that_the_node_does_not_see(place: Path) -> None:
    """As one on this machine's own disk: what is written here is not there."""
    settings(place, setup=["rm -r .ocspec/doctor-*"])
    code, found = doctor(place)
    assert code == 1
    assert found["node: store"]["verdict"] == "missing"
    assert "a file written here is not seen on the node" in found["node: store"]["found"]
    assert "shared file system" in found["node: store"]["fix"]


def test_secrets_that_are_not_there(place: Path) -> None:
    """All names at once; the rest is looked at all the same."""
    settings(place, environment={"A": "env:NOT_SET_1", "B": "env:NOT_SET_2"})
    code, found = doctor(place)
    assert code == 1
    assert "NOT_SET_1, NOT_SET_2" in found["environment"]["found"]
    assert found["environment"]["fix"].startswith("export NOT_SET_1 NOT_SET_2")
    assert found["node: imports"]["verdict"] == "ok"


def test_a_file_of_a_secret_that_the_node_does_not_have(place: Path) -> None:
    settings(place, environment={"HF_TOKEN": "file:/nowhere/token"})
    code, found = doctor(place)
    assert code == 1
    assert "HF_TOKEN: /nowhere/token cannot be read here" in found["node: probe"]["found"]
    assert "where nodes see it" in found["node: probe"]["fix"]


def test_scratch_that_cannot_be_written(place: Path) -> None:
    settings(place, scratch="/dev/null/scratch")
    code, found = doctor(place)
    assert code == 1
    assert found["node: scratch"]["verdict"] == "missing"
    assert "scratch in the profile" in found["node: scratch"]["fix"]


def test_devices_that_torch_does_not_see(place: Path) -> None:
    """Slurm counts two here and there are none."""
    settings(place, classes={"train": {"gpus_per_node": 2}}, setup=["ulimit -v 60000000"])
    code, found = doctor(place)
    assert code == 1
    assert found["node: gpus"]["verdict"] == "missing"
    assert "CUDA_VISIBLE_DEVICES is '0'" in found["node: gpus"]["found"]
    assert found["node: limits"]["verdict"] == "absent"
    assert "ulimit -v is 61.4 GB" in found["node: limits"]["found"]


def test_a_job_for_each_environment(place: Path) -> None:
    """What needs torch is not asked of the data nodes."""
    settings(place, classes={"train": {"modules": []}, "eval": {"constraint": ""}})
    _, found = doctor(place)
    assert "duckdb" in found["node of fetch/data/group: imports"]["found"]
    assert "torch" in found["node of train: imports"]["found"]
    assert found["node of eval: imports"]["verdict"] == "ok"


def test_a_job_that_does_not_start(place: Path) -> None:
    """Slurm's reason is said, and the job is taken back."""
    settings(place, sbatch={"hold": ""})
    code, found = doctor(place, "--timeout", "3")
    assert code == 1
    assert "PENDING (JobHeldUser)" in found["node: probe"]["found"]
    assert left_in_queue() == ""


def wait_for_state(job: str, state: str) -> None:
    """Wait until squeue shows a job in a state."""
    command = ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"]
    end = time.monotonic() + 300
    while (found := subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()) != state:
        assert time.monotonic() < end, found
        time.sleep(0.1)


def test_a_node_that_is_busy_is_no_fault(place: Path) -> None:
    """A longer wait may do."""
    busy = ["sbatch", "--parsable", "--exclusive", "--nodes=2", "--output=/dev/null", "--wrap=sleep 1000"]
    job = subprocess.run(busy, capture_output=True, text=True, check=True).stdout.strip()
    try:
        wait_for_state(job, "RUNNING")
        settings(place)
        code, found = doctor(place, "--timeout", "3")
    finally:
        subprocess.run(["scancel", "--full", job], check=True)
        wait_for_state(job, "CANCELLED")  # and its nodes are free
    assert code == 0
    assert found["node: probe"]["verdict"] == "absent"
    assert "PENDING (" in found["node: probe"]["found"]
    assert "--timeout" in found["node: probe"]["fix"]


def test_ctrl_c_takes_the_job_back(place: Path) -> None:
    settings(place, sbatch={"hold": ""})
    process = subprocess.Popen(COMMAND, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "waiting up to 120 s" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=300) == 130
    assert left_in_queue() == ""
    assert [path.name for path in place.iterdir()] == ["ocspec.toml"]
