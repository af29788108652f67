"""The life of a process beside another one: it must not outlive the one that it works for."""

from __future__ import annotations

import ctypes
import os
import signal
import sys


def die_with_parent(parent: int) -> None:
    """Ask Linux to end this process when its parent dies, and end at once if it is dead already.

    To Linux the parent is the thread that started this process: where that ends, this process does too.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(143)
