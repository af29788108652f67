"""Local dispatch: every shard is a process of its own on this machine, as many at once as there are processors.

A process per shard costs half a second and buys isolation: memory is given back, a crash or an out-of-memory kill
takes one shard with it, and the same worker command runs here as on a cluster. Workers die with their driver.
Training on several devices is a group of processes, one for each, that succeeds or fails as one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from compiler.plan import TaskClass
from runtime import interruption, launch
from runtime.dispatch.base import Event, Job
from runtime.dispatch.workers import Worker
from runtime.lease import EXIT_LEASE_LOST

POLL_SECONDS = 0.05
GRACE_SECONDS = 5.0
LOG_TAIL_LINES = 12


@attrs.define
class _Running:
    job: Job
    shard: int
    processes: list[subprocess.Popen[bytes]]
    logs: list[Path]
    end_by: float | None = None

    def has_ended(self) -> bool:
        """Whether all processes have; where one has failed, the others get GRACE_SECONDS to notice."""
        codes = [process.poll() for process in self.processes]
        if None not in codes:
            return True
        if any(code not in {None, 0, interruption.EXIT_CODE} for code in codes):
            self.end_by = self.end_by or time.monotonic() + GRACE_SECONDS
            if time.monotonic() > self.end_by:
                self.signal(signal.SIGKILL)
        return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all that has not ended."""
        for process in self.processes:
            _signal_group(process, number)

    def outcome(self) -> tuple[int, Path]:
        """The exit code of them all, and the log that explains it: of the process that ended first on its own."""
        doubtful = {0: 4, interruption.EXIT_CODE: 3, launch.LOST_EXIT_CODE: 2, -signal.SIGKILL: 1}
        codes = [process.returncode for process in self.processes]
        return min(zip(codes, self.logs, strict=True), key=lambda pair: doubtful.get(pair[0], 0))


class LocalDispatcher:
    """Runs shards as subprocesses within `cpus` processors (0: all), each as `workers` says for its task class.

    A class that is not in `workers` runs with this process's own Python and variables.
    """

    def __init__(
        self, plan: Path, store: Path, logs: Path, cpus: int = 0, workers: Mapping[TaskClass, Worker] | None = None
    ) -> None:
        self._plan = plan
        self._store = store
        self._logs = logs
        self._cpus = cpus or os.cpu_count() or 1
        self._workers = workers or {}
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
                running.signal(number)
            deadline = time.monotonic() + GRACE_SECONDS
            while time.monotonic() < deadline and any(not running.has_ended() for running in self._running):
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
        logs = self._logs / job.task_id.replace("/", "--")
        paths = [logs / f"{shard}.log", *(logs / f"{shard}.ranks" / f"{rank}.log" for rank in range(1, job.ranks))]
        variables = launch.local_environments(job.ranks)
        processes = [self._start_process(job, shard, *each) for each in zip(paths, variables, strict=True)]
        return _Running(job, shard, processes, paths)

    def _start_process(self, job: Job, shard: int, log: Path, variables: dict[str, str]) -> subprocess.Popen[bytes]:
        log.parent.mkdir(parents=True, exist_ok=True)
        worker = self._workers.get(job.task_class) or Worker()
        command = [worker.python, "-m", "runtime.worker", str(self._plan), job.task_id, str(shard)]
        command += ["--store", str(self._store), "--parent", str(os.getpid())]
        threads = str(max(1, min(job.cpus, self._cpus) // job.ranks))
        env = {
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "NUMBA_NUM_THREADS": threads,
            "RAYON_NUM_THREADS": threads,
            # Threads that wait for one another sleep: spinning, they starve whatever else runs on the machine.
            "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),
            **worker.environment,
            **variables,  # also of a single process: those around it may be of a Slurm step that this one is not of
        }
        with log.open("wb") as output:
            return subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env=env,
                start_new_session=True,
            )

    def _reap(self) -> list[Event]:
        events = []
        for running in [r for r in self._running if r.has_ended()]:
            self._running.remove(running)
            task, (code, log) = running.job.task_id, running.outcome()
            if code == EXIT_LEASE_LOST:  # another process has the shard: the next worker waits for what that makes
                self._waiting.insert(0, (running.job, running.shard))
            elif code == 0:
                self._open[task].discard(running.shard)
                events.append(Event(task_id=task, shard=running.shard, state="done"))
            else:
                self._failed.add(task)
                events.append(Event(task_id=task, shard=running.shard, state="failed", detail=_explain(code, log)))
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
    if code == interruption.EXIT_CODE:
        return _tail(text)
    if "error: " in text and "Traceback" not in text:
        return text[text.index("error: ") + len("error: ") :]
    return f"{_tail(text)}\n  log: {log}"


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])
