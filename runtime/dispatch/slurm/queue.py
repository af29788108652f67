"""What squeue and sacct say of a run's jobs: at most one call of each per look, whatever the size of the run.

squeue is asked first: it is the controller's own word, and shows lately ended jobs too. sacct is asked only about
submissions that squeue has forgotten; a cluster without accounting just knows less. What the answers mean for a shard
is `states`'.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime

import attrs

from runtime.dispatch.slurm import labels
from runtime.dispatch.slurm.client import QueueUnavailable, ask
from runtime.dispatch.slurm.labels import Label

JOB_ID = re.compile(r"\d+(_\d+)?")
NO_LOG = "53"  # the signal that Slurm reports where an output file cannot be opened
WAITING = frozenset(("PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"))
RUNNING = frozenset(("RUNNING", "CONFIGURING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED"))
LIVE = WAITING | RUNNING | {"COMPLETING"}
NEVER = "DependencyNeverSatisfied"
STUCK = "launch failed requeued held"  # it waits for an administrator, also where its work is long done
# Fixed widths: a name or a reason may hold any separator.
SQUEUE = {
    "jobarrayid": 40,
    "state": 16,
    "name": 120,
    "comment": 120,
    "nodelist": 80,
    "submittime": 20,
    "starttime": 20,
    "endtime": 20,
    "exit_code": 12,
    "restartcnt": 8,
    "reason": 60,
}
SACCT = "--format=JobID,State,JobName,Comment,ExitCode,NodeList,Submit,Start,End,Reason"


@attrs.frozen(kw_only=True)
class Row:
    """One job, or one element of an array. Times are seconds since the epoch, None where Slurm has none.

    `exit` is "CODE" or "CODE:SIGNAL" where it is known; `restarts` how often Slurm queued it again; `reason` Slurm's
    own word for why it waits or ended.
    """

    job_id: str
    state: str
    label: Label | None
    node: str = ""
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    reason: str = ""
    exit: str = ""
    restarts: int = 0

    @property
    def array(self) -> str:
        """The id of the whole array, which dependencies and scancel take."""
        return self.job_id.partition("_")[0]

    @property
    def element(self) -> int:
        """The element of the array; 0 for a job that is none."""
        index = self.job_id.partition("_")[2]
        return int(index) if index.isdigit() else 0

    @property
    def is_supervisor(self) -> bool:
        """Whether this is the job that submits again what failed."""
        return self.label is not None and self.label.task == labels.SUPERVISOR

    @property
    def is_live(self) -> bool:
        """Whether it waits or runs, and will or may still run."""
        return self.state in LIVE and self.reason not in {NEVER, STUCK}

    @property
    def is_stuck(self) -> bool:
        """Whether Slurm could not start it and holds it back; nothing that waits for it will start."""
        return self.state in LIVE and self.reason == STUCK


Key = tuple[str, int]
"""A submission's id and an element of its array."""


@attrs.frozen
class Snapshot:
    """The jobs of one run at one moment. `accounting` is False where sacct was needed and did not answer."""

    rows: Mapping[Key, tuple[Row, ...]] = attrs.field(factory=dict)
    accounting: bool = True

    def row(self, submission: str, element: int) -> Row | None:
        """The job of an element: where sbatch was answered late there may be two, and one that lives goes first."""
        return next(iter(sorted(self.rows.get((submission, element), ()), key=lambda row: not row.is_live)), None)

    @property
    def live(self) -> list[Row]:
        """All jobs of the run that wait or run."""
        return [row for rows in self.rows.values() for row in rows if row.state in LIVE]

    def knows(self, submission: str) -> bool:
        """Whether Slurm still has any element of a submission's array."""
        return any(one == submission for one, _ in self.rows)

    def arrays(self) -> dict[str, str]:
        """The id of the job of each submission that Slurm knows."""
        return {submission: rows[0].array for (submission, _), rows in self.rows.items()}


def look(tag: str, jobs: Mapping[str, str], wanted: Iterable[Key] = ()) -> Snapshot:
    """What Slurm knows of the run `tag`. `jobs` are job ids by submission, as written down.

    sacct is asked about the submissions of those `wanted` elements that squeue does not show: it forgets the elements
    of an array one by one. Raises QueueUnavailable where the controller does not answer.
    """
    found = [row for row in read_queue() if row.label and row.label.run == tag]
    seen = {_key(row) for row in found}
    gone = sorted({jobs[key[0]] for key in wanted if key[0] in jobs and key not in seen})
    accounting = True
    if gone:
        try:
            ours = [row for row in read_accounting(gone) if row.label and row.label.run == tag]
            # One that the controller does not know cannot live: the accounting missed its end.
            found += [row for row in ours if row.state not in LIVE and _key(row) not in seen]
        except QueueUnavailable:
            accounting = False
    rows: dict[Key, tuple[Row, ...]] = {}
    for row in found:
        rows[_key(row)] = (*rows.get(_key(row), ()), row)
    return Snapshot(rows, accounting)


def _key(row: Row) -> Key:
    assert row.label is not None
    return row.label.submission, row.element


def read_queue() -> list[Row]:
    """All jobs of this user that the controller remembers, lately ended ones too; array elements one by one."""
    form = ",".join(f"{name}:{width}" for name, width in SQUEUE.items())
    text = ask("squeue", "--noheader", "--all", "--array", "--states=all", f"--user={os.geteuid()}", f"--Format={form}")
    return [row for line in text.splitlines() if (row := _queued(line))]


def _queued(line: str) -> Row | None:
    """A line of squeue; None for one that is no job."""
    fields, start = {}, 0
    for name, width in SQUEUE.items():
        fields[name] = line[start : start + width].strip()
        start += width
    if not JOB_ID.fullmatch(fields["jobarrayid"]):
        return None
    state, reason = fields["state"], fields["reason"]
    return Row(
        job_id=fields["jobarrayid"],
        state=state,
        label=labels.read(fields["name"], fields["comment"]),
        node=fields["nodelist"],
        submitted=_time(fields["submittime"]),
        started=None if state in WAITING else _time(fields["starttime"]),
        ended=None if state in LIVE else _time(fields["endtime"]),
        reason="" if reason == "None" else reason,
        exit=_exit(fields["exit_code"]),
        restarts=int(fields["restartcnt"]) if fields["restartcnt"].isdigit() else 0,
    )


def read_accounting(job_ids: Iterable[str]) -> list[Row]:
    """What the accounting keeps of these jobs, array elements one by one; QueueUnavailable where there is none.

    A requeued job has only its last run here.
    """
    options = ("--noheader", "--parsable2", "--allocations", "--jobs=" + ",".join(job_ids))
    text = ask("sacct", *options, SACCT)
    rows = [fields for line in text.splitlines() if len(fields := line.split("|", 9)) == 10]
    return [_accounted(fields) for fields in rows if JOB_ID.fullmatch(fields[0])]  # not `7_[2-4]`, which wait


def _accounted(fields: list[str]) -> Row:
    job_id, state, name, comment, exit_code, node, submitted, started, ended, reason = fields
    return Row(
        job_id=job_id,
        state=state.split(" ")[0],  # "CANCELLED by 1000"
        label=labels.read(name, comment),  # for seconds after a job ended its name there is "allocation"
        node="" if node == "None assigned" else node,
        submitted=_time(submitted),
        started=_time(started),
        ended=_time(ended),
        reason="" if reason == "None" else reason,
        exit=exit_code,
    )


def _exit(text: str) -> str:
    """CODE:SIGNAL from what squeue shows: that, or the status that wait(2) returns.

    >>> _exit("1792"), _exit("9"), _exit("7:0")
    ('7:0', '0:9', '7:0')
    """
    return f"{int(text) >> 8}:{int(text) & 127}" if text.isdigit() else text


def _time(text: str) -> float | None:
    """Slurm's local time; None for "N/A", "Unknown" and "None"."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def exit_of(row: Row) -> str:
    """The exit code and signal of an ended job in words.

    >>> exit_of(Row(job_id="7", state="FAILED", label=None, exit="7:0"))
    'exit code 7'
    """
    number, _, signal = row.exit.partition(":")
    if signal == NO_LOG:
        return "its log could not be opened on the node: is the folder there, and may you write to it?"
    words = [f"exit code {number}"] if number not in {"", "0"} else []
    return ", ".join(words + ([f"signal {signal}"] if signal not in {"", "0"} else []))
