"""Who holds a lease: enough to tell people, and to know on the same machine that the process is gone. Holds nothing."""

from __future__ import annotations

import json
import os
import platform
import time
import uuid
from datetime import datetime
from typing import Self

import attrs

from runtime.processes import machine, start_of


@attrs.frozen
class Holder:
    """One process at one lease. `started` is in the kernel's ticks, `acquired` in seconds since 1970, for people."""

    owner: str
    host: str
    machine: str
    pid: int
    started: int
    job: str
    acquired: float

    @classmethod
    def this_process(cls) -> Self:
        """A new holder: no two have the same `owner`."""
        pid = os.getpid()
        return cls(
            owner=uuid.uuid4().hex,
            host=platform.node(),
            machine=machine(),
            pid=pid,
            started=start_of(pid) or 0,
            job=_slurm_job(),
            acquired=round(time.time(), 3),
        )

    @classmethod
    def parse(cls, text: bytes) -> Self | None:
        """What a holder wrote; None for the empty file of a free lease, nobody's name for a damaged one."""
        if not text:
            return None
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return cls(owner="", host="", machine="", pid=0, started=0, job="", acquired=0.0)

    def gone(self) -> bool:
        """Whether this is known to be dead: a process of this machine that runs no more."""
        return bool(self.machine) and self.machine == machine() and start_of(self.pid) != self.started

    def __str__(self) -> str:
        if not self.owner:
            return "an unknown process"
        since = datetime.fromtimestamp(self.acquired).astimezone().isoformat(sep=" ", timespec="seconds")
        job = f" (Slurm job {self.job})" if self.job else ""
        return f"process {self.pid} on {self.host}{job} since {since}"


def _slurm_job() -> str:
    """The job that this process is part of, as Slurm's programs name it; empty outside of Slurm."""
    array, element = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{element}" if array and element else os.environ.get("SLURM_JOB_ID", "")
