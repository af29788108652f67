"""The processes of a one-host cluster: which are its own, and how to end them as a power cut would.

Not a process manager: it looks at /proc once per question and starts nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path


def start_time(pid: int) -> str | None:
    """When the kernel started this process, in clock ticks: tells it from a later one with the same pid."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else rest[18]


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def carrying(*marks: str) -> set[int]:
    """The processes with all of these `NAME=value` in their environment, and all that they started.

    The latter because a job may start programs with an environment of its own.
    """
    wanted = {mark.encode() for mark in marks}
    found: set[int] = set()
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(parent), []).append(int(entry.name))
            if state not in "ZX" and wanted <= set((entry / "environ").read_bytes().split(b"\0")):
                found.add(int(entry.name))
        except OSError:  # ended meanwhile, or someone else's
            continue
    return found | descendants(found, children)


def descendants(roots: Iterable[int], children: dict[int, list[int]]) -> set[int]:
    """Every process below these."""
    below: set[int] = set()
    waiting = list(roots)
    while waiting:
        new = [pid for pid in children.get(waiting.pop(), []) if pid not in below and start_time(pid)]
        below.update(new)
        waiting.extend(new)
    return below


def kill_at_once(find: Callable[[], set[int]], patience_s: float = 60) -> None:
    """Kill what `find` finds, with no chance for one to see another's end, and wait until all have ended.

    All are stopped first: a stopped process starts nothing and writes nothing.
    """
    frozen: dict[int, str | None] = {}
    while new := find() - frozen.keys():
        for pid in new:
            frozen[pid] = start_time(pid)
            send(pid, signal.SIGSTOP)
    for pid in frozen:
        send(pid, signal.SIGKILL)
    end = time.monotonic() + patience_s
    while any(began and start_time(pid) == began for pid, began in frozen.items()) and time.monotonic() < end:
        time.sleep(0.01)
