"""The entry point on a node: runs the shards of one element of a submission, each in a worker of its own.

    python -m runtime.node SUBMISSION.json

It is a light process that stays when a worker dies, so that it can tell why: killed for memory, stopped on request,
an error. It passes Slurm's signals on, and asks the batch script to queue the job again (by a marker) when a worker
stopped after a checkpoint or was preempted. It decides nothing about retries: those are Slurm's and the supervisor's.

Exit codes: 0 all shards are done; 1 a shard failed; 75 the job is to be queued again. Of several ranks the first one
speaks for the job: another one that stopped on request ends with 0, so that srun does not end the first one while it
saves, and one that failed with 101, which is larger than what the first one makes of being ended.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from compiler.errors import UserError
from compiler.files import write_atomically
from runtime.dispatch.slurm.ledger import STARTED_VARIABLE, Submission, read_submission
from runtime.dispatch.slurm.retry import Cause
from runtime.interruption import EXIT_CODE as AGAIN
from runtime.journal import Journal
from runtime.launch import LOST_EXIT_CODE as OTHER_RANK_LOST
from runtime.launch import rank_environment
from runtime.lease import EXIT_LEASE_LOST as LEASE_LOST
from runtime.worker import EXIT_INPUT_MISSING, MEMORY_VARIABLE, OUT_OF_MEMORY, PATIENCE_VARIABLE

RANK_FAILED = 101
POLL_SECONDS = 0.2
NUDGE_SECONDS = 2.0  # a worker that is still starting has no handler for TERM yet: it is told again
NO_PROGRESS_RESTARTS = 3
INPUT_PATIENCE_S = 60  # a shared file system may show another node's result that much later
EARLY_SECONDS = 60  # so much earlier than asked for may the signal before the limit come (man sbatch)
START_SECONDS = 30  # from a job's start, at which its time begins, until this process runs


@attrs.define
class Notice:
    """What Slurm told this job: that its time is nearly over (USR2), or that it has to go (TERM)."""

    number: int = 0
    at: float = 0.0

    def take(self, number: int, frame: object) -> None:
        """The handler of both signals; TERM outweighs USR2."""
        if self.number != signal.SIGTERM:
            self.number, self.at = number, time.time()


@attrs.define
class Node:
    """One element of one submission, on this node."""

    submission: Submission
    element: int
    environ: Mapping[str, str]
    began: float = attrs.field()
    notice: Notice = attrs.field(factory=Notice)

    @began.default
    def _job_began(self) -> float:
        # Modules, images and imports take their time before this process runs; Slurm's clock began with the job.
        return float(self.environ.get(STARTED_VARIABLE) or time.time())

    def run(self) -> int:
        """Run the shards one after another; the exit code."""
        for number in (signal.SIGUSR2, signal.SIGTERM):
            signal.signal(number, self.notice.take)
        if self.is_first_rank:
            self.write("running", job=self.job_id, host=platform.node(), restart=self.restarts)
        if self._crashes() > self.submission.crashes > 0:
            return self._spoken(self._give_up())
        code = self._spoken(self._shards())
        for number in (signal.SIGUSR2, signal.SIGTERM):  # a late one would end the interpreter as it shuts down
            signal.signal(number, signal.SIG_IGN)
        return code

    def _crashes(self) -> int:
        """How often this element began and was gone without a word: with its node, which it may have taken down."""
        events = Journal(Path(self.submission.run_dir) / "journal").read() if self.restarts else []
        mine = [
            e["event"] for e in events if (e.get("submission"), e.get("element")) == (self.submission.id, self.element)
        ]
        return max(0, mine.count("running") - 1 - mine.count("requeue"))

    def _give_up(self) -> int:
        """Fail the shards rather than bring down one node after another."""
        for shard in self.submission.elements[self.element]:
            self._fail(shard, "no_progress", f"its node or its job was gone {self._crashes()} times while it ran")
        return 1

    def _spoken(self, code: int) -> int:
        """The exit code of this rank: srun takes the largest one of all, and the first bad one ends the others."""
        if self.is_first_rank:
            return code
        return {0: 0, AGAIN: 0}.get(code, RANK_FAILED)

    def _shards(self) -> int:
        failed = False
        for shard in self.submission.elements[self.element]:
            code = self.shard(shard)
            if code == AGAIN:
                return AGAIN
            failed = failed or code != 0
        return int(failed)

    @property
    def job_id(self) -> str:
        """The id of this job, or of this element alone."""
        return self.environ.get("SLURM_JOB_ID", "")

    @property
    def restarts(self) -> int:
        """How often Slurm has queued this job again."""
        return int(self.environ.get("SLURM_RESTART_COUNT", "0") or 0)

    @property
    def is_first_rank(self) -> bool:
        """Whether this process speaks for the job."""
        return self.environ.get("SLURM_PROCID", "0") == "0"

    def write(self, event: str, **fields: Any) -> None:
        """Note something in the run's journal."""
        about = {"submission": self.submission.id, "element": self.element, "task": self.submission.task}
        Journal(Path(self.submission.run_dir) / "journal").write(event, **about, **fields)

    def shard(self, shard: int) -> int:
        """Run one shard and note why it failed, if it did; 0, 1 or AGAIN."""
        for _ in range(3):
            worker = self._start(shard)
            code = self._wait(worker)
            if code != LEASE_LOST:  # another job has the shard: the next worker waits for it to finish
                break
        if code == 0:
            return 0
        if code == AGAIN or (self.notice.number and code < 0):
            return self._queue_again(shard)
        if code == OTHER_RANK_LOST:  # whichever rank ended first has told why
            return 1
        if code == EXIT_INPUT_MISSING:  # a parent that failed after all, or a file system that hides it
            self._fail(shard, "parent", self._last_error(shard) or "an input is not built")
            return 1
        cause, error = self._why(code, shard)
        self._fail(shard, cause, error)
        return 1

    def _start(self, shard: int) -> subprocess.Popen[bytes]:
        ours = self.submission
        command = [sys.executable, "-u", "-m", ours.worker, ours.plan, ours.task, str(shard), "--store", ours.store]
        environ = {**self.environ, **rank_environment(self.environ), PATIENCE_VARIABLE: str(INPUT_PATIENCE_S)}
        if ours.memory_mb:
            environ[MEMORY_VARIABLE] = str(ours.memory_mb)
        # Blocked while it starts: until the worker has a handler USR2 would kill it, and it lets the signal in itself.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        try:
            return subprocess.Popen([*command, "--parent", str(os.getpid())], stdin=subprocess.DEVNULL, env=environ)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})

    def _wait(self, worker: subprocess.Popen[bytes]) -> int:
        """Wait for a worker's end, and pass on what Slurm says meanwhile."""
        told = 0.0
        while worker.poll() is None:
            if self.notice.number and time.monotonic() - told > NUDGE_SECONDS and self._must_stop:
                worker.send_signal(signal.SIGUSR2 if self.is_training else signal.SIGTERM)
                told = time.monotonic()
            time.sleep(POLL_SECONDS)
        return worker.returncode

    @property
    def is_training(self) -> bool:
        """Whether a worker can stop in the middle and go on from there."""
        return self.submission.task_class == "train"

    @property
    def _must_stop(self) -> bool:
        """Whether the shard has to end now: data tasks have no checkpoint, and may yet finish before their limit."""
        return self.is_training or self.notice.number == signal.SIGTERM or self._cause == "preempted"

    @property
    def _cause(self) -> Cause:
        """Whether the notice came with the end of the time limit; else the job is preempted.

        USR2 comes so long before the limit as was asked for, or somewhat earlier; TERM when it is reached.
        """
        left = self.began + 60 * self.submission.minutes - self.notice.at
        told_before = self.submission.signal_s + EARLY_SECONDS if self.notice.number == signal.SIGUSR2 else 0
        return "timeout" if left < told_before + START_SECONDS else "preempted"

    def _queue_again(self, shard: int) -> int:
        """Leave the marker that makes the batch script queue the job again, unless that would lead nowhere."""
        if not self.is_first_rank:
            return AGAIN  # that one decides
        cause = self._cause
        if cause == "timeout" and not self.is_training:
            self._fail(shard, "timeout", f"not finished after {self.submission.minutes} minutes")
            return 1
        if cause == "timeout" and self._stands_still(shard):
            what = f"no step in {NO_PROGRESS_RESTARTS} times {self.submission.minutes} minutes"
            self._fail(shard, "no_progress", what)
            return 1
        if self.restarts >= self.submission.restarts:
            self._fail(shard, cause, f"queued again {self.restarts} times already")
            return 1
        self.write("requeue", cause=cause, shard=shard, restart=self.restarts, progress=self._progress(shard))
        write_atomically(self.marker, cause + "\n")
        return AGAIN

    @property
    def marker(self) -> Path:
        """The file that the batch script looks for."""
        return markers(Path(self.submission.run_dir), self.submission.id) / f"{self.element}.{self.restarts}"

    def _progress(self, shard: int) -> int:
        """How far the shard is by its own account, 0 where it has none."""
        name = f"{self.submission.task.replace('/', '--')}.{shard}.json"
        try:
            return int(json.loads((Path(self.submission.run_dir) / "progress" / name).read_text())["done"])
        except (OSError, ValueError, KeyError):
            return 0

    def _stands_still(self, shard: int) -> bool:
        """Whether the last few time limits ended at the very same step."""
        events = Journal(Path(self.submission.run_dir) / "journal").read()
        mine = [
            event["progress"]
            for event in events
            if event["event"] == "requeue"
            and (event["submission"], event["element"], event["shard"], event["cause"])
            == (self.submission.id, self.element, shard, "timeout")
        ]
        recent = [*mine, self._progress(shard)][-NO_PROGRESS_RESTARTS:]
        return len(recent) == NO_PROGRESS_RESTARTS and len(set(recent)) == 1

    def _fail(self, shard: int, cause: Cause, error: str) -> None:
        self.write("shard_failed", shard=shard, cause=cause, error=error)
        sys.stderr.write(f"shard {shard}: {cause}: {error}\n")

    def _why(self, code: int, shard: int) -> tuple[Cause, str]:
        """The cause of a worker's end, and what it said last."""
        if self.notice.number == signal.SIGTERM:  # which Slurm sends to all that the worker started, too
            return self._cause, "ended by SIGTERM"
        if code in {OUT_OF_MEMORY, -signal.SIGKILL}:
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
            asked = f" of {self.submission.memory_mb} MB" if self.submission.memory_mb else ""
            return "out_of_memory", f"killed or out of memory at {peak} MB{asked}"
        if code < 0:
            return "error", f"killed by {signal.Signals(-code).name}"
        return "error", self._last_error(shard) or f"exit code {code}"

    def _last_error(self, shard: int) -> str:
        """What the worker wrote in the journal before it ended, if it came to that."""
        events = Journal(Path(self.submission.run_dir) / "journal").read()
        said = [
            event["error"]
            for event in events
            if event["event"] == "failed" and (event["task"], event["shard"]) == (self.submission.task, shard)
            if event["time"] >= self.began - 1
        ]
        return said[-1] if said else ""


def markers(run_dir: Path, submission: str) -> Path:
    """Where the markers of a submission's elements are."""
    return run_dir / "slurm" / "again" / submission


def main(argv: list[str]) -> int:
    """Run the element that Slurm says this is."""
    try:
        submission = read_submission(Path(argv[0]))
        return Node(submission, int(os.environ.get("SLURM_ARRAY_TASK_ID", "0")), os.environ).run()
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
