"""A request to stop, as a signal makes it: a flag that long work looks at between two of its steps.

Not a handler that stops anything: whoever can go on later from where it is saves that and raises `Interrupted`.
Loads the standard library only, so that every training back end may use it.
"""

from __future__ import annotations

import signal
from types import FrameType

EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: stopped on request, run me again to go on
STOP_SIGNALS = (signal.SIGUSR2, signal.SIGTERM)

_received: list[int] = []


class Interrupted(Exception):
    """Work was stopped on request after `step` steps, and what they made is kept for the next attempt."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step

    def __str__(self) -> str:
        return f"stopped on request after step {self.step}; run again to go on"


def listen(*numbers: signal.Signals) -> None:
    """Take these signals, by default SIGUSR2 and SIGTERM, as requests to stop; only in the main thread.

    A signal that the parent process blocked before it started this one is let in now, so none is lost on the way.
    """
    for number in numbers or STOP_SIGNALS:
        signal.signal(number, _note)
        signal.siginterrupt(number, False)  # a save that is under way must not see EINTR
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers or STOP_SIGNALS)


def disregard(number: signal.Signals) -> None:
    """Let a signal pass without effect, here and in the processes that are started from here."""
    signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (number,))


def requested() -> bool:
    """Whether somebody asked this process to stop."""
    return bool(_received)


def _note(number: int, frame: FrameType | None) -> None:
    _received.append(number)
