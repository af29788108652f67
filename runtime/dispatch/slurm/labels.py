"""Labels: how a run's jobs are told from all others, also when Slurm gives a lost job's id to another one.

Job ids are not names: a controller that is killed right after it handed one out forgets the job and hands the id out
again. So every job carries its run, its task and its submission, in its name and in its comment.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import attrs

SUPERVISOR = "supervisor"  # the task of the job that submits again what failed; no task of a plan is called so here
MAX_WORD = 40  # of a run and of a task: with a submission's id a name stays below 100, where some sites cut


@attrs.frozen
class Label:
    """The run, the task and the submission of a job. Neither run nor submission has a dot in it.

    >>> Label("run7", "clean", "5c7923bd")
    Label(run='run7', task='clean', submission='5c7923bd')
    >>> Label("run7", "clean", "5c7923bd").text
    'clean.run7.5c7923bd'
    """

    run: str
    task: str
    submission: str

    @property
    def text(self) -> str:
        """The job's name and its comment: sites that rewrite one of them leave the other alone."""
        return f"{self.task}.{self.run}.{self.submission}"


def read(*texts: str) -> Label | None:
    """The label in a job's name or comment, the first that has the form of one.

    >>> read("interactive", "clean.run7.5c7923bd")
    Label(run='run7', task='clean', submission='5c7923bd')
    """
    for text in texts:
        task, _, run = text.rpartition(".")[0].rpartition(".")
        submission = text.rpartition(".")[2]
        if task and run and re.fullmatch(r"[0-9a-f]{8}", submission):
            return Label(run, task, submission)
    return None


def slug(text: str, length: int = MAX_WORD) -> str:
    """A name that is safe in a path, a batch script and squeue; different texts give different names.

    >>> slug("data/clean"), slug("rm -rf /")
    ('data--clean', 'rm--rf-5c7923bd')
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", text.replace("/", "--")).strip("-.")
    if safe and safe.replace("--", "/") == text and len(safe) <= length and safe != SUPERVISOR:
        return safe
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe[: length - 9].rstrip('-.')}-{digest}".lstrip("-")


def tag_of(run_dir: Path) -> str:
    """The mark of a run's jobs: the same in every process that works on this directory, another elsewhere."""
    digest = hashlib.sha256(str(run_dir.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{slug(run_dir.name, MAX_WORD - 9)}-{digest}".replace(".", "-")


def logs_of(run_dir: Path, task_id: str) -> Path:
    """Where a task's batch scripts and logs are: `ID_0_log.out`, ID as squeue shows it, for rank 0."""
    return run_dir / "logs" / "slurm" / slug(task_id)


def supervisor_logs(run_dir: Path) -> Path:
    """Where the supervisors' batch scripts and logs are."""
    return run_dir / "logs" / "slurm" / SUPERVISOR
