"""The ledger: which submissions were made for a run, by whichever process on whichever machine.

A submission is written down, in a file of its own, before sbatch is called; the journal notes the job id right after.
So a driver killed in between leaves a submission without an id, whose job is found by its label or was never queued.
It knows neither Slurm nor what became of a job.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
import cattrs

from compiler.errors import UserError
from compiler.files import write_atomically
from runtime.journal import Journal

FORMAT_VERSION = 1
STARTED_VARIABLE = "OCSPEC_JOB_STARTED"  # set by the batch script: the job's start, from which its limit counts


@attrs.frozen(kw_only=True)
class Submission:
    """One sbatch: shards of one task, spread over the elements of an array. The node reads it, too.

    `elements` are the shards of each array element, run one after another. `after` are the submissions that must end
    well first; `after_any` those that must only end, because shards of theirs that failed are with another one.
    `memory_mb` and `minutes` are what one element asks for, `raised` says that the memory is more than the plan's or
    profile's figure. It is told `signal_s` before its limit; It may be queued
    again `restarts` times, `crashes` times without having said so before it ended. `worker` is the
    module that runs a shard. Paths are absolute, as the nodes see them.
    """

    id: str
    task: str
    task_class: str
    plan: str
    store: str
    run_dir: str
    elements: tuple[tuple[int, ...], ...]
    after: tuple[str, ...] = ()
    after_any: tuple[str, ...] = ()
    memory_mb: int = 0
    raised: bool = False
    minutes: int = 0
    signal_s: int = 0
    restarts: int = 0
    crashes: int = 0
    time: float = 0.0
    worker: str = "runtime.worker"
    format_version: int = FORMAT_VERSION

    @property
    def shards(self) -> list[int]:
        """All shards, in order of elements."""
        return [shard for element in self.elements for shard in element]


def new_id() -> str:
    """An id that no other submission has."""
    return secrets.token_hex(4)


def read_submission(path: Path) -> Submission:
    """A submission from its file; UserError where it cannot be read."""
    try:
        return cattrs.structure(json.loads(path.read_text()), Submission)
    except (OSError, ValueError, KeyError, TypeError, cattrs.BaseValidationError) as error:
        what = f"the submission cannot be read ({error})"
        raise UserError(what, where=str(path), fix="submit again") from None


@attrs.frozen
class Ledger:
    """The submissions of a run, in `run_dir/slurm/submissions/*.json` and its journal."""

    run_dir: Path

    @property
    def journal(self) -> Journal:
        """The journal of the run, beside the plan."""
        return Journal(self.run_dir / "journal")

    @property
    def directory(self) -> Path:
        """Where the submissions are."""
        return self.run_dir / "slurm" / "submissions"

    def path(self, submission: str) -> Path:
        """The file of a submission."""
        return self.directory / f"{submission}.json"

    def open(self, submission: Submission) -> None:
        """Write a submission down, before sbatch."""
        write_atomically(self.path(submission.id), json.dumps(attrs.asdict(submission), sort_keys=True) + "\n")
        self.journal.write("submitting", submission=submission.id, task=submission.task)

    def submitted(self, submission: Submission, job: str, *, found: bool = False) -> None:
        """Note the job's id, right after sbatch, or later where another process `found` the job by its label."""
        fields: dict[str, Any] = {"found": True} if found else {}
        self.journal.write("submitted", submission=submission.id, task=submission.task, job=job, **fields)

    def withdraw(self, submission: Submission, why: str) -> None:
        """Note that a submission has no job: refused, or never taken."""
        self.journal.write("withdrawn", submission=submission.id, task=submission.task, why=why)

    def submissions(self) -> list[Submission]:
        """All submissions, oldest first."""
        found = [read_submission(path) for path in self.directory.glob("*.json")]
        return sorted(found, key=lambda submission: (submission.time, submission.id))


def job_ids(events: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Job ids by submission, from the journal's events."""
    noted = (event for event in events if event["event"] == "submitted" and "submission" in event)
    return {event["submission"]: event["job"] for event in noted}


def withdrawn(events: Iterable[Mapping[str, Any]]) -> set[str]:
    """The submissions that have no job and never will."""
    return {event["submission"] for event in events if event["event"] == "withdrawn"}


def places(
    submissions: Iterable[Submission], events: Iterable[Mapping[str, Any]]
) -> dict[tuple[str, int], tuple[Submission, int]]:
    """The newest submission of each shard that has a job or may have one, and the shard's element of its array."""
    gone = withdrawn(events)
    found: dict[tuple[str, int], tuple[Submission, int]] = {}
    for submission in submissions:
        for element, shards in enumerate(submission.elements if submission.id not in gone else ()):
            found.update({(submission.task, shard): (submission, element) for shard in shards})
    return found
