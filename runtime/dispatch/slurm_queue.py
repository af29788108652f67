"""What Slurm says about our jobs: one squeue call for the whole run, and what each answer means for a shard.

Not the submission (`slurm.py`), and not the truth about results: a shard is done when the store has it,
whatever Slurm says; Slurm tells why a shard that has no result will not get one. `sacct` is not used, because
many clusters run without accounting and its answers lag; `squeue --states=all` also shows what ended lately.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs

from runtime.dispatch.base import Event, State

LOG = logging.getLogger(__name__)
COMMAND_TIMEOUT_S = 60
WAITING = frozenset(("PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"))
# States out of which Slurm may yet put a job back in the queue, and COMPLETED, which the view of the result
# through a shared file system may trail: none of them is a failure at first sight.
UNSETTLED = frozenset(("BOOT_FAIL", "COMPLETED", "NODE_FAIL", "PREEMPTED"))
ENDED = UNSETTLED | {"CANCELLED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "OUT_OF_MEMORY", "TIMEOUT"}
LAST_BYTES = 65_536
USER_ERROR = "compiler.errors.UserError: "
NEVER = "DependencyNeverSatisfied"


class QueueUnavailable(Exception):
    """Slurm's controller did not answer; its message. Says nothing about the jobs, which go on without it."""


@attrs.frozen
class Label:
    """How a run's jobs are told from all others, also when Slurm gives a lost job's id to another one.

    `run` has no dot in it.

    >>> Label("run7", "clean").name
    'clean.run7'
    """

    run: str
    task: str

    @property
    def name(self) -> str:
        """The job's name, for people who read squeue."""
        return f"{self.task}.{self.run}"

    @property
    def comment(self) -> str:
        """The job's comment; sites that rewrite comments leave names alone, and the other way round."""
        return f"{self.run}.{self.task}"


@attrs.frozen
class Row:
    """One job, or one element of an array, as squeue shows it."""

    job_id: str
    state: str
    name: str
    comment: str
    reason: str

    def carries(self, label: Label) -> bool:
        """Whether this job was submitted under that label."""
        return self.name == label.name or self.comment == label.comment

    def belongs_to(self, run: str) -> bool:
        """Whether this job was submitted by that run, under any task."""
        return run in (self.name.rpartition(".")[2], self.comment.partition(".")[0])


@attrs.frozen
class Pace:
    """Seconds between two looks at the queue: short after news, longer each time there is none."""

    first_s: float = 0.5
    longest_s: float = 30.0
    growth: float = 1.5

    def after(self, delay_s: float, news: bool) -> float:
        """The delay that follows `delay_s`.

        >>> Pace().after(24.0, news=False), Pace().after(24.0, news=True)
        (30.0, 0.5)
        """
        return self.first_s if news else min(self.longest_s, delay_s * self.growth)


@attrs.define
class Watched:
    """One shard's job and what was last reported about it."""

    task_id: str
    shard: int
    job_id: str
    label: Label
    log: Path
    state: State | None = None
    doubted_since: float | None = None


def ask(*command: str) -> str:
    """Run a Slurm client and return what it prints; QueueUnavailable when it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=COMMAND_TIMEOUT_S, check=True
        )
    except subprocess.CalledProcessError as error:
        raise QueueUnavailable(error.stderr.strip() or f"{command[0]} ended with {error.returncode}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QueueUnavailable(str(error)) from None
    return done.stdout


def read_queue() -> list[Row]:
    """All jobs of this user that Slurm remembers, also lately ended ones; array elements one by one."""
    form = "--format=%i|%T|%j|%k|%r"
    text = ask("squeue", "--noheader", "--array", "--states=all", f"--user={os.geteuid()}", form)
    return [Row(*fields) for line in text.splitlines() if len(fields := line.split("|", 4)) == 5]


def how_it_ended(row: Row) -> str:
    """The end state with its reason and exit code, in words; asks scontrol, so once per failure."""
    words = [row.state] if row.reason in {"None", ""} else [f"{row.state} ({row.reason})"]
    try:
        shown = ask("scontrol", "--oneliner", "show", "job", row.job_id)
    except QueueUnavailable:
        shown = ""
    found = re.search(r"\bExitCode=(\d+):(\d+)", shown)
    if found and found[1] != "0":
        words.append(f"exit code {found[1]}")
    if found and found[2] != "0":
        words.append(f"signal {found[2]}")
    return ", ".join(words)


def last_words(log: Path, lines: int = 12) -> str:
    """What a failed worker wrote last, without the frames above a UserError and without Slurm's remarks."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LAST_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return "it wrote no log"
    said = [line for line in text.splitlines() if not line.startswith(("srun: ", "slurmstepd: ", "submitit "))]
    users = [number for number, line in enumerate(said) if line.startswith(USER_ERROR)]
    if users:
        return "\n".join([said[users[-1]].removeprefix(USER_ERROR), *said[users[-1] + 1 :]])
    return "\n".join(said[-lines:])


class Watcher:
    """Turns what squeue shows into events; `is_done(task_id, shard)` asks the store.

    `patience_s` is how long a job may be missing, or ended without a result, before it counts as failed:
    Slurm requeues on its own, and a shared file system may show a result up to a minute late.
    """

    def __init__(self, is_done: Callable[[str, int], bool], pace: Pace, patience_s: float = 60.0) -> None:
        self._is_done = is_done
        self._pace = pace
        self._patience_s = patience_s
        self._live: dict[tuple[str, int], Watched] = {}
        self._delay_s = pace.first_s
        self._due = 0.0
        self._trouble = ""
        self._cancelled = False

    @property
    def live(self) -> list[Watched]:
        """The shards whose end has not been reported."""
        return list(self._live.values())

    def watch(self, job: Watched) -> None:
        """Follow a job from now on; a shard's newer job replaces its older one."""
        self._live[job.task_id, job.shard] = job
        self._due = 0.0

    def expect_no_more(self) -> None:
        """The run was cancelled: a job that is gone from the queue was cancelled too, and not lost."""
        self._cancelled = True
        self._due = 0.0

    def poll(self) -> list[Event]:
        """Wait until the next look is due, look once, and return what changed since the last one."""
        if not self._live:
            return []
        time.sleep(max(0.0, self._due - time.monotonic()))
        events = self._look()
        self._delay_s = self._pace.after(self._delay_s, bool(events))
        self._due = time.monotonic() + self._delay_s
        return events

    def _look(self) -> list[Event]:
        try:
            rows = {row.job_id: row for row in read_queue()}
        except QueueUnavailable as error:
            self._note_trouble(str(error))
            return []
        self._note_trouble("")
        return [event for job in self.live if (event := self._judge(job, rows.get(job.job_id)))]

    def _note_trouble(self, trouble: str) -> None:
        if trouble and not self._trouble:
            LOG.warning("Slurm's controller does not answer (%s); running jobs go on, asking again", trouble)
        elif self._trouble and not trouble:
            LOG.warning("Slurm's controller answers again")
        self._trouble = trouble

    def _judge(self, job: Watched, row: Row | None) -> Event | None:
        if row is None or not row.carries(job.label):
            return self._judge_absence(job)
        if row.state in ENDED:
            return self._judge_end(job, row)
        if row.state == "COMPLETING" and self._is_done(job.task_id, job.shard):
            return self._report(job, "done")
        if row.state not in WAITING:
            return self._report(job, "running")
        if row.reason == NEVER:
            return self._doubt(job, "failed", f"job {job.job_id} waits for a job that failed")
        return self._report(job, "queued", "" if row.reason == "None" else row.reason)

    def _judge_absence(self, job: Watched) -> Event | None:
        if self._cancelled and not self._is_done(job.task_id, job.shard):
            return self._report(job, "cancelled", f"job {job.job_id}: cancelled with its run")
        if job.state == "queued":  # Slurm keeps no record of an array's element that is cancelled as it waits
            return self._doubt(job, "cancelled", f"job {job.job_id} left the queue without having run")
        return self._doubt(job, "failed", f"job {job.job_id} vanished: Slurm does not know it, and no result")

    def _judge_end(self, job: Watched, row: Row) -> Event | None:
        if self._is_done(job.task_id, job.shard):
            return self._report(job, "done")
        if row.state in UNSETTLED:
            return self._doubt(job, "failed", f"job {row.job_id} left no result: {row.state}")
        if row.state == "CANCELLED":
            reason = "a task that it depends on did not succeed" if row.reason == NEVER else "cancelled in Slurm"
            return self._report(job, "cancelled", f"job {row.job_id}: {reason}")
        detail = f"job {row.job_id}: {how_it_ended(row)}\n{last_words(job.log)}\n  log: {job.log}"
        return self._report(job, "failed", detail)

    def _doubt(self, job: Watched, state: State, detail: str) -> Event | None:
        """Report an end that may yet turn out otherwise, once it has looked so for long enough."""
        if self._is_done(job.task_id, job.shard):
            return self._report(job, "done")
        now = time.monotonic()
        if job.doubted_since is None:
            job.doubted_since = now
        return self._report(job, state, detail) if now - job.doubted_since > self._patience_s else None

    def _report(self, job: Watched, state: State, detail: str = "") -> Event | None:
        if state in {"queued", "running"}:
            job.doubted_since = None
        else:
            self._live.pop((job.task_id, job.shard), None)
        if state == job.state:
            return None
        job.state = state
        return Event(task_id=job.task_id, shard=job.shard, state=state, detail=detail)


def living(run: str) -> list[Row]:
    """The jobs of a run that wait or run; found by their label, so also those whose ids nobody wrote down."""
    return [row for row in read_queue() if row.belongs_to(run) and row.state not in ENDED]


def cancel(run: str, patience_s: float = 180.0) -> None:
    """Cancel a run's jobs, waiting ones first so that none starts meanwhile, until the queue shows none.

    Raises TimeoutError when some are still there after `patience_s` (a node that does not answer) and
    QueueUnavailable when the controller does not answer.
    """
    end = time.monotonic() + patience_s
    while rows := living(run):
        job_ids = [row.job_id for row in rows]
        if time.monotonic() > end:
            raise TimeoutError(f"still in the queue after {patience_s:.0f} s: {', '.join(job_ids)}")
        scancel(job_ids, "--state=PENDING")
        scancel(job_ids)
        time.sleep(0.5)


def scancel(job_ids: Iterable[str], *options: str) -> None:
    """Cancel jobs, whole arrays at once; those that ended meanwhile are no error."""
    arrays = sorted({job_id.partition("_")[0] for job_id in job_ids}, key=int)
    for start in range(0, len(arrays), 500):
        subprocess.run(
            ["scancel", "--quiet", *options, *arrays[start : start + 500]],
            capture_output=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
