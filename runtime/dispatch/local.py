"""Local dispatch: every shard is a process of its own on this machine, as many at once as there are processors.

A process per shard costs half a second and buys isolation: memory is given back, a crash or an out-of-memory kill
takes one shard with it, and the same worker command runs here as on a cluster. Workers die with their driver.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from runtime.dispatch.base import Event, Job

POLL_SECONDS = 0.05
GRACE_SECONDS = 5.0
LOG_TAIL_LINES = 12


@attrs.define
class _Running:
    job: Job
    shard: int
    process: subprocess.Popen[bytes]
    log: Path


class LocalDispatcher:
    """Runs shards as subprocesses within `cpus` processors."""

    def __init__(self, plan: Path, store: Path, logs: Path, cpus: int = 0) -> None:
        self._plan = plan
        self._store = store
        self._logs = logs
        self._cpus = cpus or os.cpu_count() or 1
        self._waiting: list[tuple[Job, int]] = []
        self._open: dict[str, set[int]] = {}
        self._failed: set[str] = set()
        self._running: list[_Running] = []

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue every shard in order."""
        for job in jobs:
            self._waiting += [(job, shard) for shard in job.shards]
            self._open[job.task_id] = set(job.shards)

    def poll(self) -> list[Event]:
        """Start what can start, reap what ended."""
        events = self._reap() + self._cancel_orphans() + self._start()
        if not events and (self._running or self._waiting):
            time.sleep(POLL_SECONDS)
        return events

    def cancel(self) -> None:
        """Ask the workers to end, then make them."""
        self._waiting.clear()
        for number in (signal.SIGTERM, signal.SIGKILL):
            for running in self._running:
                _signal_group(running.process, number)
            deadline = time.monotonic() + GRACE_SECONDS
            while time.monotonic() < deadline and any(r.process.poll() is None for r in self._running):
                time.sleep(POLL_SECONDS)
        self._running.clear()

    def _start(self) -> list[Event]:
        events = []
        free = self._cpus - sum(min(running.job.cpus, self._cpus) for running in self._running)
        for job, shard in list(self._waiting):
            if any(self._open.get(task) for task in job.depends_on):
                continue
            need = min(job.cpus, self._cpus)
            if need > free:
                break  # keep the order: a large job must not starve behind small ones
            free -= need
            self._waiting.remove((job, shard))
            self._running.append(self._spawn(job, shard))
            events.append(Event(task_id=job.task_id, shard=shard, state="running"))
        return events

    def _spawn(self, job: Job, shard: int) -> _Running:
        log = self._logs / job.task_id.replace("/", "--") / f"{shard}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "runtime.worker", str(self._plan), job.task_id, str(shard)]
        command += ["--store", str(self._store), "--parent", str(os.getpid())]
        threads = str(min(job.cpus, self._cpus))
        env = {
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "NUMBA_NUM_THREADS": threads,
            "RAYON_NUM_THREADS": threads,
            # Threads that wait for one another sleep: spinning, they starve whatever else runs on the machine.
            "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env=env,
                start_new_session=True,
            )
        return _Running(job, shard, process, log)

    def _reap(self) -> list[Event]:
        events = []
        for running in [r for r in self._running if r.process.poll() is not None]:
            self._running.remove(running)
            task, code = running.job.task_id, running.process.returncode
            if code == 0:
                self._open[task].discard(running.shard)
                events.append(Event(task_id=task, shard=running.shard, state="done"))
            else:
                self._failed.add(task)
                events.append(
                    Event(task_id=task, shard=running.shard, state="failed", detail=_explain(code, running.log))
                )
        return events

    def _cancel_orphans(self) -> list[Event]:
        events = []
        for job, shard in list(self._waiting):
            if job.task_id in self._failed or self._failed.intersection(job.depends_on):
                self._failed.add(job.task_id)
                self._waiting.remove((job, shard))
                events.append(
                    Event(task_id=job.task_id, shard=shard, state="cancelled", detail="a task before it failed")
                )
        return events


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return


def _explain(code: int, log: Path) -> str:
    """What a worker said before it ended, or what ended it."""
    text = log.read_text(errors="replace").strip()
    if code < 0:
        cause = f"killed by {signal.Signals(-code).name}"
        return f"{cause} (log: {log})" if not text else f"{cause}\n{_tail(text)}"
    if "error: " in text and "Traceback" not in text:
        return text[text.index("error: ") + len("error: ") :]
    return f"{_tail(text)}\n  log: {log}"


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])
