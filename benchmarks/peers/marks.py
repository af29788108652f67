"""Marks: what a process that submits to Slurm has cost so far, written down at the end of each of its phases.

It needs nothing but the standard library, so that every peer's environment can import it. It measures the process
itself and the programs that it called; what Slurm's daemons do for it is not in the figures.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections import Counter
from pathlib import Path

CALLS, MARKS = "SLURM_CALLS_FILE", "SLURM_MARKS_FILE"  # environment variables: where calls and marks are written


def mark(phase: str) -> None:
    """Note that `phase` ends now: the time, CPU seconds and calls since the start, and the peak of memory in MB."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    found = {
        "phase": phase,
        "time": time.time(),
        "cpu": sum(one.ru_utime + one.ru_stime for one in used),
        "rss_mb": peak_mb(),
        "calls": Counter(Path(os.environ[CALLS]).read_text().splitlines()),
    }
    with Path(os.environ[MARKS]).open("a") as file:
        file.write(json.dumps(found) + "\n")


def peak_mb() -> float:
    """The largest resident set of this program; getrusage's would include that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
