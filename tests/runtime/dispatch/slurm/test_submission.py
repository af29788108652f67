"""What is refused before sbatch is called, and what the job's environment is. The real sbatch: tests/slurm."""

from __future__ import annotations

import os

import pytest

from compiler.errors import UserError
from compiler.profile import Settings
from runtime.dispatch.slurm import submission
from runtime.dispatch.slurm.client import Patience
from runtime.dispatch.slurm.submission import ParentForgotten, QueueFull, refusal
from tests.runtime.dispatch.slurm.test_script import asked, srun

__all__ = ["srun"]  # fixtures, for pytest


def program(directory, name: str, body: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{body}\n")
    (directory / name).chmod(0o755)


@pytest.mark.parametrize("name", ["100%", "a\nb"])
def test_a_log_path_that_slurm_would_rewrite_is_refused(tmp_path, srun, name):
    """A % in a path is a pattern to Slurm, and the logs would go somewhere else."""
    with pytest.raises(UserError, match="'%' and line breaks"):
        submission.text(asked(tmp_path / name))


def test_without_slurm_the_error_says_so(tmp_path, monkeypatch):
    """No programs, no traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="srun"):
        submission.sbatch(asked(tmp_path), Patience(0.0))


def test_a_folder_for_logs_that_cannot_be_made(tmp_path, srun):
    """Slurm would fail each job, and leave no log that says why."""
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(UserError, match="cannot be made"):
        submission.sbatch(asked(tmp_path), Patience(0.0))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, ...",
            QueueFull,
        ),
        ("sbatch: error: QOSMaxSubmitJobPerUserLimit", QueueFull),
        ("sbatch: error: AssocMaxSubmitJobLimit", QueueFull),
        (
            "sbatch: error: QOSMaxWallDurationPerJobLimit\nJob violates ... (job submit limit, user's size ...",
            UserError,
        ),
        ("sbatch: error: Batch job submission failed: Job dependency problem", ParentForgotten),
        ("sbatch: error: invalid partition specified: gpuu", UserError),
    ],
)
def test_a_refusal_has_what_was_asked_and_what_was_said(tmp_path, said, kind):
    """On one line; a limit on the number of jobs is told apart."""
    error = refusal(asked(tmp_path), f"{said}\n  more \n")
    assert type(error) is kind
    assert "job of 't' (1 nodes with 2 CPUs, 1500 MB and 0 GPUs each)" in error.what
    assert "more" in error.what
    assert "\n" not in error.what


def test_the_job_gets_no_sizes_of_a_job_that_submits_it(tmp_path, srun, monkeypatch):
    """A supervisor is a job itself; what it was told about itself is not for the jobs that it queues. Secrets are."""
    for name in ("SLURM_JOB_ID", "SLURM_NTASKS", "SLURM_CPUS_PER_TASK", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    monkeypatch.setenv("MINE", "hunter2")
    program(srun, "sbatch", f"env > '{tmp_path}/environment'; echo Submitted batch job 99")
    request = asked(tmp_path, Settings(environment={"TOKEN": "env:MINE"}))
    before = dict(os.environ)
    assert submission.sbatch(request, Patience(0.0), submission.passed(request)) == "99"
    assert dict(os.environ) == before
    seen = dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines() if "=" in line)
    assert [name for name in seen if name.startswith("SLURM_")] == ["SLURM_CONF"]
    assert seen["TOKEN"] == "hunter2"
    kept = [path for path in (tmp_path / "logs").rglob("*") if path.is_file()]
    assert kept and all("hunter2" not in path.read_text() for path in kept)
    assert not list((tmp_path / "logs").glob(".submission_file_*"))


def test_a_secret_that_is_not_set_is_told_before_anything_is_queued(tmp_path, monkeypatch):
    """By its name."""
    monkeypatch.delenv("MINE", raising=False)
    with pytest.raises(UserError, match="MINE from the environment"):
        submission.passed(asked(tmp_path, Settings(environment={"TOKEN": "env:MINE"})))


def test_a_lost_answer_is_looked_up_before_sbatch_is_called_again(tmp_path, srun):
    """Twice away, the second time already queued: sbatch ran twice and no third time."""
    line = "".join(
        f"{value:{width}.{width}}"
        for value, width in [("12_0", 40), ("PENDING", 16), ("t.run.0a000001", 120), ("", 300)]
    )
    program(srun, "sbatch", f"echo x >> '{tmp_path}/calls'; echo 'Socket timed out on send/recv' >&2; exit 1")
    program(
        srun,
        "squeue",
        f"[ $(wc -l < '{tmp_path}/calls') = 2 ] && echo '{line}'; exit 0",
    )
    said: list[str] = []
    assert submission.sbatch(asked(tmp_path), Patience(30.0, said.append, (0.01,))) == "12"
    assert (tmp_path / "calls").read_text().split() == ["x", "x"]
    assert len(said) == 2
    assert "does not answer" in said[0]
    assert said[1] == "Slurm answers again"
