"""Leases: one holder of a name among the processes of all machines that share a file system, without file locks.

A lease is a directory of numbered files, of which the highest counts. A process takes the lease by making the next
number with a hard link, which exactly one process can do; it empties its file to free the lease, and a thread renews
the file's time while it holds. Numbers never go back, so nobody can mistake a new holder for the silent one before it.

Not a lock of threads, and no proof against a process that wakes up after long silence: it learns that it lost a moment
after it woke. What must happen once is decided where it happens: by a rename that only the first can do.
"""

from __future__ import annotations

import errno
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import attrs

from compiler.errors import UserError
from runtime.holder import Holder

# A shared file system may stall for a minute under load. Six renewals must fail before a holder is taken for dead.
STALE_AFTER_S = 120.0
RENEW_S = 20.0
FIRST_POLL_S, LAST_POLL_S = 0.05, 2.0
EXIT_LEASE_LOST = 76


class LeaseHeld(UserError):
    """Another process holds the lease, and this one did not want to wait (longer); `holder` says who."""

    def __init__(self, path: Path, holder: Holder) -> None:
        super().__init__(f"{path.name} is held by {holder}", where=str(path), fix="wait until it ends, or end it")
        self.holder = holder


class LeaseLost(UserError):
    """Another process took the lease over, because this one was silent for too long."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"lost {path.name} to another process, after a silence of this one",
            where=str(path),
            fix="let the other one end",
        )


@attrs.frozen
class _Claim:
    """The highest file of a lease as it was read: number 0 and no holder before the first."""

    number: int = 0
    holder: Holder | None = None
    renewed_ns: int = 0


@attrs.define
class Lease:
    """A lease that this process holds, or tries to; made by `Lease.hold`."""

    path: Path
    me: Holder = attrs.field(factory=Holder.this_process)
    stale_after_s: float = STALE_AFTER_S
    renew_s: float = RENEW_S
    on_lost: Callable[[Lease], None] | None = None
    lost: bool = False
    _number: int = 0
    _done: threading.Event = attrs.field(factory=threading.Event)
    _thread: threading.Thread | None = None

    @classmethod
    @contextmanager
    def hold(
        cls,
        path: Path,
        *,
        wait: bool = True,
        timeout_s: float = math.inf,
        on_wait: Callable[[Holder], None] | None = None,
        on_lost: Callable[[Lease], None] | None = None,
        stale_after_s: float = STALE_AFTER_S,
        renew_s: float = RENEW_S,
    ) -> Iterator[Self]:
        """Hold the lease `path` (conventionally NAME.lease) inside the block; OSError if it cannot be written.

        While another process holds it, `on_wait` is told by whom and this one waits: `timeout_s` seconds at most, not
        at all with `wait=False`; then LeaseHeld. A holder on this machine whose process is gone is replaced at once;
        any other when its file was not renewed for `stale_after_s` seconds of the file system's clock and stayed
        so under our eyes for two renewals: clocks may differ, and a machine that slept wakes its holders too.

        If another process takes over from this one, `lost` becomes true and `on_lost` is called, in the thread that
        renews, within `renew_s` seconds or as soon as this process runs again; `check` and `conclude` raise LeaseLost.
        """
        lease = cls(path, stale_after_s=stale_after_s, renew_s=renew_s, on_lost=on_lost)
        lease._acquire(timeout_s if wait else 0.0, on_wait)
        try:
            yield lease
        finally:
            lease._stop()
            with suppress(OSError):  # it grows stale, and this process will be gone
                lease._release()

    def check(self) -> None:
        """Raise LeaseLost if the renewing thread found that another process took over; reads nothing."""
        if self.lost:
            raise LeaseLost(self.path)

    def conclude(self) -> None:
        """Look whether the lease is still ours, LeaseLost if not, and watch it no more: one last act may follow."""
        self._stop()
        if not self.lost and not self._renew():
            self._lose()
        self.check()

    def _acquire(self, timeout_s: float, on_wait: Callable[[Holder], None] | None) -> None:
        deadline = time.monotonic() + timeout_s
        pause, seen, since = FIRST_POLL_S, _Claim(), time.monotonic()
        while True:
            claim = self._read()
            if claim != seen:
                if on_wait and claim.holder and claim.holder != seen.holder and not claim.holder.gone():
                    on_wait(claim.holder)
                seen, since = claim, time.monotonic()
            silent = time.monotonic() - since >= 2 * self.renew_s
            if claim.holder is None or claim.holder.gone() or (silent and self._aged(claim)):
                if self._take(claim.number + 1):
                    break
                continue
            if time.monotonic() >= deadline and not self._aged(claim):
                raise LeaseHeld(self.path, claim.holder)
            time.sleep(pause)
            pause = min(1.5 * pause, LAST_POLL_S)
        self._thread = threading.Thread(target=self._keep, name=f"lease {self.path.name}", daemon=True)
        self._thread.start()

    def _take(self, number: int) -> bool:
        """Make the next number ours; False if another process did, or did and is ahead already."""
        candidate, ours, won = self.path / f".{self.me.owner}", self.path / str(number), False
        self.path.mkdir(parents=True, exist_ok=True)
        # Not found: who holds it tidied our candidate away, or all of the lease is being removed. Not won.
        with suppress(FileNotFoundError):
            try:
                # Not fsynced, which would take longer than all the rest. Closing sends it to a file server; a machine
                # that crashes may forget it and leave an empty file, a free lease: its holder is dead as well.
                candidate.write_text(json.dumps(attrs.asdict(self.me)))
                os.link(candidate, ours)
                won = True
            except FileExistsError:
                # NFS may repeat a request whose answer was lost: then the link that exists is our own.
                won = candidate.stat().st_nlink > 1
            finally:
                candidate.unlink(missing_ok=True)
        if not won:
            return False
        if max(self._numbers(), default=0) > number:  # we were slow, and others came and went with this number
            ours.unlink(missing_ok=True)
            return False
        self._number = number
        self._tidy()
        return True

    def _tidy(self) -> None:
        """Remove what holders before us and killed takers left."""
        for name in os.listdir(self.path):
            if not name.isdigit() or int(name) < self._number:
                (self.path / name).unlink(missing_ok=True)

    def _keep(self) -> None:
        """Renew until told to stop; the body of the thread."""
        while not self._done.wait(self.renew_s):
            try:
                ours = self._renew()
            except OSError:
                continue  # a stalled file system: whoever took over will be seen when it answers
            if not ours:
                self._lose()
                return

    def _renew(self) -> bool:
        """Set our file's time to the file system's now; False if the lease is another's."""
        ours = self._ours(os.utime)
        return ours and max(self._numbers(), default=0) == self._number

    def _release(self) -> None:
        # Emptied, not removed: numbers must not start again while somebody may think of an old one.
        self._ours(lambda handle: os.ftruncate(handle, 0))

    def _ours(self, act: Callable[[int], None]) -> bool:
        """Do something to the open file of our number if it is still there and ours; whether it is."""
        try:
            handle = os.open(self.path / str(self._number), os.O_RDWR)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ESTALE}:
                return False
            raise
        try:
            holder = Holder.parse(os.read(handle, 65536))
            if holder is None or holder.owner != self.me.owner:
                return False
            act(handle)
        finally:
            os.close(handle)
        return True

    def _lose(self) -> None:
        self.lost = True
        if self.on_lost:
            self.on_lost(self)

    def _stop(self) -> None:
        self._done.set()
        if self._thread:
            self._thread.join()

    def _read(self) -> _Claim:
        while True:
            number = max(self._numbers(), default=0)
            if not number:
                return _Claim()
            try:
                # Opened before it is asked for its time: only that makes an NFS client look again.
                with (self.path / str(number)).open("rb") as file:
                    return _Claim(number, Holder.parse(file.read()), os.fstat(file.fileno()).st_mtime_ns)
            except FileNotFoundError:
                continue  # replaced at this moment

    def _numbers(self) -> list[int]:
        try:
            return [int(name) for name in os.listdir(self.path) if name.isdigit()]
        except FileNotFoundError:
            return []

    def _aged(self, claim: _Claim) -> bool:
        """Whether a lease was not renewed for too long, by the clock of the file system itself."""
        clock = self.path / f".{self.me.owner}.clock"
        try:
            with clock.open("w") as file:
                os.utime(file.fileno())
                now = os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:  # the lease is being removed
            return False
        finally:
            clock.unlink(missing_ok=True)
        return (now - claim.renewed_ns) / 1e9 > self.stale_after_s
