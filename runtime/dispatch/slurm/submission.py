"""One sbatch, such that a kill or a lost answer at any moment neither loses nor doubles a job.

Written down, submitted, noted: in that order. An answer that never came is looked for in the queue, by the label,
before sbatch is called again. submitit writes the batch script and calls sbatch; it is not asked about jobs, because
its states need accounting and its results a pickle.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from compiler.environment import passed_environment
from compiler.errors import UserError
from runtime.dispatch.slurm import queue, script
from runtime.dispatch.slurm.client import Patience, QueueUnavailable, ask
from runtime.dispatch.slurm.script import Request

LIMIT = re.compile(r"\b(?:QOS|Assoc)\w*Limit\b")
# sbatch holds its variables above what stands in the script: all but these would change what we believe of a job.
KEPT = ("SBATCH_ACCOUNT", "SBATCH_QOS", "SBATCH_RESERVATION")
FORGOTTEN = re.compile(r"job dependency problem", re.IGNORECASE)


class QueueFull(UserError):
    """Slurm takes no more jobs of this user for now."""


class ParentForgotten(UserError):
    """Slurm does not know a job that this one is to wait for: its controller died right after it took it."""


def sbatch(asked: Request, patience: Patience, environ: Mapping[str, str] | None = None) -> str:
    """Queue a job and return its id.

    Raises UserError with what sbatch said where it refuses, QueueFull where a limit on the number of jobs is reached.
    """
    attempts = 0

    def attempt() -> str:
        nonlocal attempts
        attempts += 1
        found = find(asked.label.run, asked.label.submission) if attempts > 1 else None
        return found or _once(asked, environ or {})

    return patience.until_answered(attempt)


def find(tag: str, submission: str) -> str | None:
    """The id of a submission's job, looked up by its label; None where Slurm has none. May raise QueueUnavailable."""
    return queue.look(tag, {}).arrays().get(submission)


def is_known(job_id: str, submission: str) -> bool:
    """Whether the controller has this job under that submission's label, asked by its id."""
    try:
        return submission in ask("scontrol", "--oneliner", "show", "job", job_id)
    except QueueUnavailable:
        return False


def _once(asked: Request, passed: Mapping[str, str]) -> str:
    executor = _executor(asked)
    try:
        with _environment(passed), contextlib.redirect_stderr(io.StringIO()):  # it prints what the error carries
            # A documented road of submitit's for a command of one's own, although its name has an underscore.
            return str(executor._submit_command(script.command(asked)).job_id)
    except (FailedJobError, FailedSubmissionError) as error:
        said = QueueUnavailable(str(error))
        if said.is_passing:
            raise said from None
        raise refusal(asked, str(error)) from None
    finally:
        _tidy(asked.logs)


def _executor(asked: Request) -> submitit.SlurmExecutor:
    if any(mark in str(asked.logs) for mark in "%\n\r"):
        what = "Slurm takes '%' and line breaks in a log's path for something else"
        raise UserError(what, where=str(asked.logs), fix="use a directory whose path has neither")
    try:
        asked.logs.mkdir(parents=True, exist_ok=True)
        executor = submitit.SlurmExecutor(asked.logs)
    except OSError as error:
        what = f"cannot be made ({error.strerror})"
        raise UserError(what, where=str(asked.logs), fix="check who may write there") from None
    except RuntimeError as error:  # no srun
        raise UserError(str(error), fix="submit from a machine that has Slurm's programs") from None
    if not os.access(asked.logs, os.W_OK):  # Slurm would fail each job, and leave no log that says why
        raise UserError("cannot be written to", where=str(asked.logs), fix="check who may write there")
    executor.update_parameters(**script.parameters(asked))
    if asked.elements:
        executor.parameters["map_count"] = asked.elements
    return executor


@contextlib.contextmanager
def _environment(passed: Mapping[str, str]) -> Iterator[None]:
    """The environment that the job inherits: without what Slurm told a job that we run in, and with secrets.

    A step of the new job would take the surrounding job's sizes for its own.
    """
    before = dict(os.environ)
    try:
        for name in before:
            if name.startswith(("SLURM_", "SBATCH_")) and name not in {"SLURM_CONF", *KEPT}:
                del os.environ[name]
        os.environ.update(passed)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def text(asked: Request) -> str:
    """The batch script as it will be submitted; queues nothing."""
    return str(_executor(asked)._make_submission_file_text(script.command(asked), ""))


def check(asked: Request) -> UserError | None:
    """What Slurm could not run as the cluster stands now; queues nothing.

    sbatch itself accepts some of it and lets it wait for ever: three nodes of a partition that has two.
    """
    try:
        ask("sbatch", "--test-only", text=text(attrs.evolve(asked, dependency="")))
    except QueueUnavailable as error:
        return None if error.is_passing else refusal(asked, str(error))
    return None


def _is_full(said: str) -> bool:
    """Whether a limit on the number of jobs was reached; the same words stand for limits on their size and time."""
    named = LIMIT.findall(said)
    return any("Submit" in limit for limit in named) if named else "job submit limit" in said


def refusal(asked: Request, stderr: str) -> UserError:
    """What sbatch said, beside what it was asked."""
    resources = asked.asked
    size = f"{resources.nodes} nodes with {resources.cpus} CPUs, {resources.memory_mb} MB and {resources.gpus} GPUs"
    said = " ".join(line.strip() for line in stderr.splitlines() if line.strip())
    kind = QueueFull if _is_full(said) else ParentForgotten if FORGOTTEN.search(said) else UserError
    return kind(
        f"Slurm does not take a job of {asked.label.task!r} ({size} each): {said}",
        fix=f"`ocspec doctor --profile NAME` checks; limits for class {resources.task_class!r} are in the profile",
    )


def passed(asked: Request) -> dict[str, str]:
    """The variables that travel with the job's environment; UserError for those that are not set."""
    return passed_environment(asked.settings, os.environ)


def _tidy(folder: Path) -> None:
    """Remove the links that submitit leaves beside the scripts, which are named by their job's id."""
    for left in folder.glob(".submission_file_*.sh"):
        left.unlink(missing_ok=True)
