"""The life of processes: not to outlive whom one works for, to end with all that one started, to be known again."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NoReturn


def die_with_parent(parent: int) -> None:
    """Ask Linux to end this process when its parent dies, and end at once if it is dead already.

    To Linux the parent is the thread that started this process: where that ends, this process does too.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(143)


def start_of(pid: int) -> int | None:
    """When a process started, in the kernel's ticks since the machine did; None if it does not run.

    A process id alone may be another process's by now; together with its start it never is.
    """
    fields = _fields(pid)
    return None if fields is None or fields[0] in {"Z", "X"} else int(fields[19])


@cache
def machine() -> str:
    """Where ids of processes mean the same: one boot of one machine, one namespace. Empty where nobody can tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def end_with_descendants(status: int) -> NoReturn:
    """Kill what this process has started, and what that has, and end at once with `status`: nothing is cleaned up."""
    try:
        for pid in _descendants(os.getpid()):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    finally:
        os._exit(status)


def _descendants(root: int) -> list[int]:
    """Children, their children and so on; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        fields = _fields(int(entry.name))
        if fields is not None:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = list(children.get(root, ()))
    for pid in found:  # grows while it is walked
        found += children.get(pid, ())
    return found


def _fields(pid: int) -> list[str] | None:
    """The fields of a process's /proc/PID/stat after its name, which may hold spaces and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
