"""Processes for tests of what several do at once: forked, so that they start in no time; killed when the test ends.

No test depends on how long it waits here: PATIENCE_S only ends one that would wait for ever.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

FORK = multiprocessing.get_context("fork")
PATIENCE_S = 60.0  # far more than a slow and busy machine takes, and less than the two minutes of a silent lease


@contextmanager
def children(act: Callable[..., Any], *arguments: tuple[Any, ...]) -> Iterator[list[BaseProcess]]:
    """One process per tuple of arguments."""
    started = [FORK.Process(target=act, args=each) for each in arguments]
    for process in started:
        process.start()
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.join()


def exit_codes(processes: list[BaseProcess], timeout: float = PATIENCE_S) -> list[int | None]:
    """How they ended; None for one that still runs when so many seconds are over, for all of them together."""
    deadline = time.monotonic() + timeout
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    return [process.exitcode for process in processes]


def pause(process: BaseProcess) -> None:
    """SIGSTOP, and wait until it stands."""
    assert process.pid
    os.kill(process.pid, signal.SIGSTOP)
    wait_for(lambda: is_paused(process))


def is_paused(process: BaseProcess) -> bool:
    """Whether it stands."""
    return Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def resume(process: BaseProcess) -> None:
    """SIGCONT."""
    assert process.pid
    os.kill(process.pid, signal.SIGCONT)


def wait_for(condition: Callable[[], object], timeout: float = PATIENCE_S) -> None:
    """Until it holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
