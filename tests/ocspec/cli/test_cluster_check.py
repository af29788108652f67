"""What a plan asks of a cluster, in words; the cluster's own answers are in tests/slurm/test_doctor.py."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest

from compiler import ir
from compiler.emit.sbatch import request
from compiler.plan import Plan, Resources, Task
from compiler.profile import TASK_CLASSES, Profile, Settings
from ocspec.cli import cluster_check
from ocspec.cli.cluster_check import (
    advice,
    as_arguments,
    feasible,
    in_words,
    minutes,
    one_line,
    requests,
    sbatch_options,
)
from ocspec.cli.probe_jobs import probes

SOME = Task(id="t", op=ir.Refine(dataset="code", readers=()))


def task(task_class: str, **asked: int) -> Task:
    """A task of which only the request matters here."""
    return attrs.evolve(SOME, id=f"{task_class}/{len(asked)}", resources=Resources(task_class=task_class, **asked))


def plan(*tasks: Task) -> Plan:
    return Plan(experiment="x", spec={}, tasks=tasks, parameters=0, parameters_without_embeddings=0, stages=())


def test_each_request_of_a_class_once() -> None:
    """As the tasks make them, and none that no task makes. Classes that the plan has not are not asked about."""
    asked = requests(
        plan(
            task("data", cpus=1, memory_mb=9000),
            task("data", cpus=4, memory_mb=2000, seconds=3),
            task("data", cpus=4, memory_mb=2000, disk_mb=7),
            task("train", cpus=8, gpus=8, nodes=2),
            task("train", cpus=2, gpus=1, nodes=1, memory_mb=5),
        ),
        Profile(),
    )
    assert asked == {
        "data": (
            Resources(task_class="data", cpus=1, memory_mb=9000),
            Resources(task_class="data", cpus=4, memory_mb=2000),
        ),
        "train": (
            Resources(task_class="train", cpus=8, gpus=8, nodes=2),
            Resources(task_class="train", cpus=2, gpus=1, memory_mb=5),
        ),
    }


def test_without_a_plan_every_class_is_asked_about() -> None:
    """Training with a node's devices, where the profile says how many a node has."""
    asked = requests(None, Profile(classes={"train": Settings(gpus_per_node=4)}))
    assert tuple(asked) == TASK_CLASSES
    assert [[one.gpus for one in asked[name]] for name in ("train", "eval")] == [[4], [0]]


def test_a_request_in_words() -> None:
    """Options go to sbatch as they are; people read numbers with their units."""
    settings = Settings(minutes=60, sbatch={"exclusive": "", "mail-user": "a b"})
    options = sbatch_options(request(Resources(task_class="train", cpus=16, gpus=4, nodes=2), settings), settings)
    assert in_words(options) == "2 nodes, 4 ranks, 4 CPUs, 4 GPUs, 60 minutes, 2048MB"
    assert as_arguments(options)[-2:] == ["--exclusive", "--mail-user=a b"]


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("allocation failure: Invalid feature specification\n", "Invalid feature specification"),
        ("sbatch: error: a: b\nsbatch: error: Batch job submission failed: c\n\nsbatch: error: a: b\n", "a: b; c"),
        ("sbatch: unrecognized option '--x'\n", "unrecognized option '--x'"),
    ],
)
def test_slurms_words_in_one_line(said: str, line: str) -> None:
    assert one_line(said) == line


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("Invalid account or account/partition combination specified", "set account in HERE; `sacctmgr show assoc"),
        ("Invalid qos specification", "set qos in HERE"),
        ("Invalid partition name specified", "set partition in HERE to one of (see `sinfo`)"),
        ("Memory required by task is not available", "lower what is asked in HERE"),
    ],
)
def test_advice_needs_no_cluster(monkeypatch: pytest.MonkeyPatch, said: str, fix: str) -> None:
    """Where sinfo does not answer either, it is named."""
    monkeypatch.setenv("PATH", "")
    assert advice(said, {}, "HERE").startswith(fix)


@pytest.mark.parametrize(
    ("limit", "wanted"),
    [
        *(("5", 5.0), ("90:00", 90.0), ("90:30", 90.5), ("01:30:00", 90.0), ("1-12", 2160.0), ("2-0:0", 2880.0)),
        *(
            ("1-02:30", 1590.0),
            ("1-02:30:30", 1590.5),
            ("UNLIMITED", None),
            ("", None),
            ("-1", None),
            ("1:2:3:4", None),
        ),
    ],
)
def test_a_time_limit_as_slurm_writes_it(limit: str, wanted: float | None) -> None:
    """Minutes, minutes:seconds, hours:minutes:seconds, and days before hours, hours:minutes or all three."""
    assert minutes(limit) == wanted


# -- an sbatch that does not answer

ASKED = requests(None, Profile())


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that PATH begins with, and little patience."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.setattr(cluster_check, "COMMAND_TIMEOUT_S", 0.2)
    return directory


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_an_sbatch_that_hangs_is_found_once(programs: Path) -> None:
    """Not once for each request, and nothing else is asked: nobody waits for it five times."""
    for name in ("sbatch", "sinfo"):
        program(programs / name, f"echo x >> {programs}/calls; exec sleep 20")
    asked = {**ASKED, "data": (Resources(), Resources(memory_mb=7))}
    (found,) = feasible(Profile(), asked)
    assert (found.what, found.verdict) == ("requests", "missing")
    assert found.found.startswith("sbatch did not answer in 0.2 s")
    assert "scontrol ping" in found.fix
    assert (programs / "calls").read_text() == "x\n"


def test_an_sbatch_that_cannot_be_run(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (found,) = feasible(Profile(), ASKED)
    assert (found.verdict, found.found) == ("missing", "sbatch: No such file or directory")


def test_all_that_is_refused_is_in_words(programs: Path) -> None:
    """Requests of one class that Slurm refuses alike are one finding, and each is shown."""
    program(
        programs / "sbatch",
        'case "$*" in *mem=7M*) echo fine >&2; exit 0;; esac; echo "sbatch: error: Memory" >&2; exit 1',
    )
    asked = {"data": tuple(Resources(memory_mb=size) for size in (7, 8, 9)), "eval": (Resources(memory_mb=9),)}
    possible, refused = feasible(Profile(), asked)
    assert (possible.what, possible.verdict) == ("request of data", "ok")
    assert (refused.what, refused.verdict) == ("request of data, eval", "missing")
    assert refused.found == "Memory (1 node, 1 CPU, 60 minutes, 8MB; 1 node, 1 CPU, 60 minutes, 9MB)"


def test_a_probe_that_sbatch_hangs_at_is_looked_for_and_cancelled(programs: Path, tmp_path: Path) -> None:
    """Slurm may have taken it: its name is no other job's. A second environment is not tried."""
    program(programs / "sbatch", f"echo x >> {programs}/calls; exec sleep 20")
    program(programs / "scancel", f'echo "$@" >> {programs}/cancelled')
    profile = Profile(dispatch="slurm", classes={"train": Settings(partition="gpu")})
    with probes(profile, ASKED, tmp_path / "store", tmp_path / "build") as (probe,):
        assert probe.refused is not None
        assert probe.refused.found.startswith("sbatch did not answer in 0.2 s")
        assert "scontrol ping" in probe.refused.fix
        assert probe.job_id == ""
    assert (programs / "calls").read_text() == "x\n"
    (cancelled,) = (programs / "cancelled").read_text().splitlines()
    assert cancelled == f"--quiet --me --name={probe.name}"
    assert probe.token not in probe.name
    assert not any((tmp_path / "build").glob("doctor-*"))
