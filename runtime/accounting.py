"""What sacct says of jobs: every attempt at every one, with its steps. Not whose jobs they are: that is `usage.py`.

One call for all jobs of a run. A job that Slurm put back in the queue has a row for each attempt (`--duplicates`), and
so has a stranger's job whose id was given out again. CPU time and memory stand on the rows of steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import attrs

from runtime.dispatch.slurm.client import ask

FIELDS = (
    *("JobIDRaw", "JobID", "State", "Eligible", "Start", "End", "ElapsedRaw"),
    *("TotalCPU", "AllocCPUS", "AllocTRES", "TRESUsageInTot"),
    "JobName",  # the last one, since it may hold anything
)
IDS_A_CALL = 1000
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}


@attrs.frozen(kw_only=True)
class Attempt:
    """One time that a job, or one element of an array, was in the queue. Times are Unix seconds, None if not yet.

    `job` is the id that sbatch gave, `id` the job's own. CPUs, GPUs and memory are those of all its nodes together.
    `cpu_seconds` were used, the peak of memory is that of its largest step, with all its tasks; None where it ended
    before it was looked at.
    """

    id: str
    job: str
    name: str
    state: str
    eligible: int | None
    start: int | None
    end: int | None
    seconds: int
    cpus: int
    gpus: int
    memory_mb: float
    cpu_seconds: float
    peak_memory_mb: float | None = None

    @property
    def waited(self) -> int | None:
        """Seconds in the queue from when it could have run: not those for other jobs, nor for a later start."""
        return None if self.start is None or self.eligible is None else max(0, self.start - self.eligible)


def attempts(job_ids: Sequence[str]) -> list[Attempt]:
    """All attempts at these jobs, and at others that had their ids; QueueUnavailable where there is no accounting."""
    found: list[Attempt] = []
    for start in range(0, len(job_ids), IDS_A_CALL):
        ids = ",".join(job_ids[start : start + IDS_A_CALL])
        command = ("sacct", "--parsable2", "--noheader", "--duplicates", "--noconvert")
        found += parse(
            ask("env", "SLURM_TIME_FORMAT=%s", *command, f"--jobs={ids}", f"--format={','.join(FIELDS)}").splitlines()
        )
    return found


def parse(lines: Iterable[str]) -> list[Attempt]:
    """Attempts from sacct's rows of FIELDS, each followed by those of its steps."""
    found: list[Attempt] = []
    for line in lines:
        values = line.split("|", len(FIELDS) - 1)
        if len(values) < len(FIELDS):
            continue
        row = dict(zip(FIELDS, values, strict=True))
        raw_id, _, step = row["JobIDRaw"].partition(".")
        if not step:
            found.append(_attempt(row))
        elif found and found[-1].id == raw_id:
            found[-1] = _with_step(found[-1], row)
    return found


def _attempt(row: dict[str, str]) -> Attempt:
    # Refused, or cancelled before anything was allocated, a job may still be given its end as its start.
    start = _time(row["Start"]) if row["AllocTRES"] else None
    return Attempt(
        id=row["JobIDRaw"],
        job=row["JobID"].partition("_")[0],
        name=row["JobName"],
        state=row["State"].partition(" ")[0],
        eligible=_time(row["Eligible"]),
        start=start,
        end=_time(row["End"]),
        seconds=int(row["ElapsedRaw"] or 0),
        cpus=int(row["AllocCPUS"] or 0),
        gpus=_gpus(row["AllocTRES"]),
        memory_mb=_memory(row["AllocTRES"]) or 0.0,
        cpu_seconds=_duration(row["TotalCPU"]),
    )


def _with_step(attempt: Attempt, row: dict[str, str]) -> Attempt:
    """The job's own row adds its steps' CPU time up, so that only the memory is taken from here."""
    peak = _memory(row["TRESUsageInTot"])
    if peak is None or (attempt.peak_memory_mb or 0.0) >= peak:
        return attempt
    return attrs.evolve(attempt, peak_memory_mb=peak)


def _time(text: str) -> int | None:
    """Unix seconds; None for Unknown, None and the empty text.

    >>> _time("1795398074"), _time("Unknown")
    (1795398074, None)
    """
    return int(text) if text.isdigit() else None


def _duration(text: str) -> float:
    """Seconds of `[days-[hours:]]minutes:seconds`.

    >>> _duration("00:01.684"), _duration("1-02:03:04"), _duration("")
    (1.684, 93784.0, 0.0)
    """
    days, _, rest = text.rpartition("-")
    seconds = 0.0
    for part in rest.split(":"):
        seconds = seconds * 60 + float(part or 0)
    return seconds + int(days or 0) * 86_400


def _gpus(tres: str) -> int:
    """GPUs of all types; the count without a type, where there is one, holds them all.

    >>> _gpus("cpu=8,gres/gpu:h100=4,gres/gpu=4"), _gpus("gres/gpu:a=1,gres/gpu:b=2"), _gpus("cpu=8")
    (4, 3, 0)
    """
    found = re.findall(r"(?:^|,)gres/gpu(:[^=,]*)?=(\d+)", tres)
    every = [int(number) for kind, number in found if not kind]
    return every[0] if every else sum(int(number) for _, number in found)


def _memory(tres: str) -> float | None:
    """MB (2**20 bytes) of memory.

    >>> _memory("cpu=8,mem=2000M,node=2"), _memory("cpu=00:00:01,mem=209715200"), _memory("energy=0")
    (2000.0, 200.0, None)
    """
    found = re.search(r"(?:^|,)mem=([\d.]+)([KMGTP]?)", tres)
    return float(found[1]) * UNITS[found[2]] / UNITS["M"] if found else None
