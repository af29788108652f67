"""Slurm's programs: asked with a time limit, and waited for while the controller is away. Reads no answer."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import attrs

from compiler.errors import UserError

T = TypeVar("T")

COMMAND_TIMEOUT_S = 60
PAUSES_S = (1.0, 2.0, 5.0, 10.0)  # between two attempts to reach the controller; the last one repeats
AWAY = re.compile(
    "unable to contact|socket timed out|resource temporarily unavailable|connection refused|connection reset"
    "|transport endpoint is not connected|zero bytes were transmitted|temporarily unable to accept",
    re.IGNORECASE,
)


class QueueUnavailable(Exception):
    """One of Slurm's programs failed; its message. Says nothing about the jobs, which go on without it."""

    @property
    def is_passing(self) -> bool:
        """Whether the controller or the network was away, rather than the question wrong."""
        return bool(AWAY.search(str(self)))


FILTERS = ("SQUEUE_", "SACCT_", "SCANCEL_", "SLURM_TIME_FORMAT")


def _environment() -> dict[str, str]:
    """Ours, without what would filter or reformat the answers: a job that is not shown would count as lost."""
    return {name: value for name, value in os.environ.items() if not name.startswith(FILTERS)}


def ask(*command: str, text: str | None = None) -> str:
    """Run one of Slurm's programs and return what it prints; QueueUnavailable when it fails."""
    try:
        done = subprocess.run(
            command,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_TIMEOUT_S,
            env=_environment(),
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise QueueUnavailable(error.stderr.strip() or f"{command[0]} ended with {error.returncode}") from None
    except subprocess.TimeoutExpired:
        raise QueueUnavailable(f"{command[0]} did not answer in {COMMAND_TIMEOUT_S} s (socket timed out)") from None
    except OSError as error:
        raise QueueUnavailable(f"{command[0]}: {error.strerror}") from None
    return done.stdout


@attrs.define
class Patience:
    """How long a controller that does not answer is waited for, and whom to tell."""

    seconds: float = 300.0
    say: Callable[[str], None] = lambda text: None
    pauses_s: tuple[float, ...] = PAUSES_S

    def until_answered(self, action: Callable[[], T]) -> T:
        """Call until it succeeds; the UserError after `seconds` says that nothing was lost.

        `action` must be safe to repeat.
        """
        end = time.monotonic() + self.seconds
        for attempt in range(1_000_000):
            try:
                answer = action()
            except QueueUnavailable as error:
                if not error.is_passing or time.monotonic() >= end:
                    raise unreachable(error) from None
                if attempt == 0:
                    self.say(f"Slurm does not answer ({error}); asking again for up to {self.seconds:.0f} s")
                time.sleep(min(self.pauses_s[min(attempt, len(self.pauses_s) - 1)], max(0.0, end - time.monotonic())))
            else:
                if attempt:
                    self.say("Slurm answers again")
                return answer
        raise AssertionError("the loop ends by returning or raising")


class Unanswered(UserError):
    """The controller did not answer in time: what it was asked may be done or not."""


def unreachable(error: QueueUnavailable) -> Unanswered:
    """The error for a controller that does not answer while we need it."""
    return Unanswered(
        f"Slurm does not answer: {error}",
        fix="see `scontrol ping`; what is queued goes on and is written down, so run the same command again then",
    )


def scancel(job_ids: Iterable[str], *options: str) -> None:
    """Cancel jobs, array elements (`7_3`) or whole arrays (`7`); those that ended meanwhile are no error."""
    ids = sorted(set(job_ids))
    for start in range(0, len(ids), 500):
        # Whoever must know asks the queue afterwards: a controller that is away did not take it.
        with contextlib.suppress(QueueUnavailable):
            ask("scancel", "--quiet", *options, *ids[start : start + 500])


def setting(name: str) -> str:
    """A setting of the cluster, as `scontrol show config` has it; empty where there is none of that name."""
    found = re.search(rf"^{re.escape(name)}\s*=\s*(.*?)\s*$", ask("scontrol", "show", "config"), re.MULTILINE)
    return found[1] if found else ""


def max_array_size() -> int:
    """The most elements that this cluster takes in one array."""
    size = setting("MaxArraySize")
    return max(1, int(size)) if size.isdigit() else 1
