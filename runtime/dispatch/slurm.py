"""Running a plan's tasks on SLURM through submitit: one array per task, chained by dependencies.

Not the watching (`slurm_queue.py`) and not the work: what goes to a node is an importable function and plain
data, `run_shard(plan, task, shard, store)`. No closures and no spec, so that a node needs this package and
nothing of the submitting process. submitit writes the batch script and starts Python on the node; its own job
states are not used, because they need accounting.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import submitit
from submitit.core.utils import DelayedSubmission, FailedJobError, FailedSubmissionError
from submitit.slurm.slurm import _make_sbatch_string

from compiler.emit.sbatch import request, setup_lines
from compiler.errors import UserError
from compiler.plan import Resources
from compiler.profile import Profile
from runtime.dispatch import slurm_queue
from runtime.dispatch.base import Event, Job
from runtime.dispatch.slurm_queue import Label, Pace, QueueUnavailable, Watched, Watcher

Entry = Callable[[str, str, int, str], object]
OnSubmitted = Callable[[str, int, str], None]

MAX_LABEL = 48  # of the run and of the task each: together under 100 characters, where some sites cut
REQUEUES = 100  # a training job resumes from its checkpoint however often it runs out of time
TRANSIENT = re.compile("unable to contact|socket timed out|resource temporarily unavailable", re.IGNORECASE)
OURS = ("array", "comment", "dependency", "error", "job-name", "kill-on-invalid-dep", "output")


@attrs.frozen
class Resuming:
    """An entry point that is queued again when its time is up: it goes on from its last checkpoint."""

    entry: Entry

    def __call__(self, plan: str, task: str, shard: int, store: str) -> object:
        """Run the shard."""
        return self.entry(plan, task, shard, store)

    def checkpoint(self, plan: str, task: str, shard: int, store: str) -> DelayedSubmission:
        """What submitit queues again shortly before the time limit: the same call."""
        return DelayedSubmission(self, plan, task, shard, store)


def slug(text: str, length: int = MAX_LABEL) -> str:
    """A name that is safe in a path, a batch script and squeue; different texts give different names.

    >>> slug("data/clean"), slug("rm -rf /")
    ('data--clean', 'rm--rf-5c7923bd')
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", text.replace("/", "--")).strip("-.")
    if safe and safe.replace("--", "/") == text and len(safe) <= length:
        return safe
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe[: length - 9].rstrip('-.')}-{digest}".lstrip("-")


def default_tag(run_dir: Path) -> str:
    """The mark of a run's jobs: the same in every process that works on this directory, another elsewhere."""
    digest = hashlib.sha256(str(run_dir.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{slug(run_dir.name, MAX_LABEL - 9)}-{digest}"


def parameters(job: Job, profile: Profile, label: Label) -> dict[str, Any]:
    """The parameters for submitit: the job's own figures, unless the profile limits its task class.

    Raises UserError for profile entries that would break the batch script or hide the job from us.
    """
    asked = Resources(task_class=job.task_class, cpus=job.cpus, memory_mb=job.memory_mb, gpus=job.gpus, nodes=job.nodes)
    options = request(asked, profile)
    cpus = options["cpus_per_task"]
    return {
        **options,
        "job_name": label.name,
        "comment": label.comment,
        "setup": setup_lines(cpus, profile),
        "array_parallelism": profile.max_parallel_shards or max(1, len(job.shards)),
        # A signal 90 s before the end would reach a one-minute job at its start.
        "signal_delay_s": min(90, 15 * options["time"]),
        # Since Slurm 22.05 a step does not take over the job's --cpus-per-task: it would be bound to one processor.
        "srun_args": ["--nodes=1", "--ntasks=1", f"--cpus-per-task={cpus}"],
        "additional_parameters": {**_site_options(profile), "kill-on-invalid-dep": "yes"},
    }


def _site_options(profile: Profile) -> dict[str, str | bool]:
    """The profile's own sbatch options; an empty value makes a flag."""
    options = {name.removeprefix("--").replace("_", "-"): value for name, value in profile.sbatch.items()}
    where = f"profile {profile.name!r}"
    if taken := sorted(set(options) & set(OURS)):
        raise UserError(f"sbatch options {', '.join(taken)} are set by ocspec", where=where, fix="remove them")
    texts = (profile.partition, profile.account, profile.qos, profile.constraint, *options, *options.values())
    if any("\n" in text or "\r" in text for text in texts):
        raise UserError("a line break in a value for sbatch", where=where, fix="write it on one line")
    return {name: value or True for name, value in options.items()}


class SlurmDispatcher:
    """Submits jobs, follows them and cancels them.

    `is_done(task_id, shard)` asks the store. `on_submitted(task_id, shard, job_id)` is called right after
    each sbatch, before the next, so that a journal knows every job that exists. `entry` must be importable on
    the node. `tag` marks the run's jobs; by default it follows from `run_dir`.
    """

    def __init__(
        self,
        plan_path: Path,
        store: Path,
        run_dir: Path,
        profile: Profile,
        *,
        is_done: Callable[[str, int], bool],
        on_submitted: OnSubmitted = lambda task_id, shard, job_id: None,
        entry: Entry | None = None,
        pace: Pace | None = None,
        patience_s: float = 60.0,
        retry_after_s: Sequence[float] = (5.0, 15.0, 45.0),
        tag: str = "",
    ) -> None:
        self._plan_path = plan_path.resolve()
        self._store = store.resolve()
        self._logs = run_dir.resolve() / "logs" / "slurm"
        self._profile = profile
        self._on_submitted = on_submitted
        self._entry = importable(entry or worker_entry())
        self._retry_after_s = tuple(retry_after_s)
        self.tag = (slug(tag) if tag else default_tag(run_dir)).replace(".", "-")
        self._watcher = Watcher(is_done, pace or Pace(), patience_s)
        self._arrays: dict[str, list[str]] = {}

    # -- submit

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue these jobs, parents first. All or none: after a refusal those already queued are cancelled.

        Raises UserError with what sbatch said.
        """
        limit = max_array_size() if any(len(job.shards) > 1 for job in jobs) else 1
        queued: list[str] = []
        try:
            for job in jobs:
                self._submit_task(job, limit, queued)
        except UserError:
            slurm_queue.scancel(queued)
            raise
        except QueueUnavailable as error:
            slurm_queue.scancel(queued)
            raise unreachable(error) from None

    def adopt(self, task_id: str, shard: int, job_id: str) -> None:
        """Follow a job of this run that another process submitted, as the journal tells."""
        log = self.logs(task_id) / f"{job_id}_0_log.err"
        self._watcher.watch(Watched(task_id, shard, job_id, self.label(task_id), log))
        arrays = self._arrays.setdefault(task_id, [])
        if (array := job_id.partition("_")[0]) not in arrays:
            arrays.append(array)

    def label(self, task_id: str) -> Label:
        """The name and comment that mark a task's jobs."""
        return Label(self.tag, slug(task_id))

    def logs(self, task_id: str) -> Path:
        """Where a task's batch script and logs are: `ID_0_log.out` and `.err`, ID as Slurm shows it."""
        return self._logs / slug(task_id)

    def script(self, job: Job) -> str:
        """The batch script of a job as it will be submitted, but for dependencies; queues nothing."""
        command = [shlex.quote(self._profile.python or sys.executable), "-u -m submitit.core._submit"]
        text = _make_sbatch_string(
            command=" ".join([*command, shlex.quote(str(self.logs(job.task_id)))]),
            folder=self.logs(job.task_id),
            map_count=len(job.shards) if len(job.shards) > 1 else None,
            **parameters(job, self._profile, self.label(job.task_id)),
        )
        return str(text)

    def check(self, jobs: Sequence[Job]) -> list[UserError]:
        """What Slurm could not run as the cluster stands now, asked once per kind of request; queues nothing.

        sbatch itself accepts some of it and lets it wait for ever: three nodes of a partition that has two.
        """
        kinds = {attrs.evolve(job, task_id="", shards=(0,), depends_on=()): job for job in jobs}
        problems = []
        for kind, job in kinds.items():
            script = self.script(attrs.evolve(job, shards=kind.shards))
            asked = subprocess.run(["sbatch", "--test-only"], input=script, capture_output=True, text=True, check=False)
            if asked.returncode:
                problems.append(self._refusal(job, asked.stderr))
        return problems

    def _submit_task(self, job: Job, limit: int, queued: list[str]) -> None:
        executor = self._executor(job, self._dependency(job, queued))
        for start in range(0, len(job.shards), limit):
            shards = job.shards[start : start + limit]
            job_ids = self._sbatch(executor, job, shards)
            queued += job_ids
            for shard, job_id in zip(shards, job_ids, strict=True):
                self.adopt(job.task_id, shard, job_id)
                self._on_submitted(job.task_id, shard, job_id)

    def _dependency(self, job: Job, queued: Sequence[str]) -> str:
        """`afterok` on the arrays of the parents.

        Slurm takes an id that it has forgotten for one that succeeded, so jobs of earlier submissions count
        only while they are in the queue.
        """
        arrays = [array for parent in job.depends_on for array in self._arrays.get(parent, [])]
        fresh = {job_id.partition("_")[0] for job_id in queued}
        if not fresh.issuperset(arrays):
            fresh |= {row.job_id.partition("_")[0] for row in slurm_queue.living(self.tag)}
        return ":".join(["afterok", *(array for array in arrays if array in fresh)])

    def _executor(self, job: Job, dependency: str) -> submitit.SlurmExecutor:
        folder = self.logs(job.task_id)
        if any(mark in str(folder) for mark in "%\n\r"):
            what = "Slurm takes '%' and line breaks in a log's path for something else"
            raise UserError(what, where=str(folder), fix="use a directory whose path has neither")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            executor = submitit.SlurmExecutor(
                folder, REQUEUES, python=shlex.quote(self._profile.python or sys.executable)
            )
        except OSError as error:
            what = f"cannot be made ({error.strerror})"
            raise UserError(what, where=str(folder), fix="check who may write there") from None
        except RuntimeError as error:  # no srun
            raise UserError(str(error), fix="submit from a machine that has Slurm's programs") from None
        chosen = parameters(job, self._profile, self.label(job.task_id))
        executor.update_parameters(**chosen, **({"dependency": dependency} if ":" in dependency else {}))
        executor._throttling = 0  # otherwise 0.2 s per sbatch; there is no public setting
        return executor

    def _sbatch(self, executor: submitit.SlurmExecutor, job: Job, shards: Sequence[int]) -> list[str]:
        """One sbatch, tried again while the controller does not answer; ids in the order of `shards`."""
        entry = Resuming(self._entry) if job.task_class == "train" else self._entry
        n = len(shards)
        call = ([str(self._plan_path)] * n, [job.task_id] * n, list(shards), [str(self._store)] * n)
        for pause in (*self._retry_after_s, None):
            try:
                with contextlib.redirect_stderr(io.StringIO()):  # submitit prints what the error carries
                    return [str(queued.job_id) for queued in executor.map_array(entry, *call)]
            except (FailedJobError, FailedSubmissionError) as error:
                if pause is None or not TRANSIENT.search(str(error)):
                    raise self._refusal(job, str(error)) from None
                time.sleep(pause)
                self._cancel_unanswered(job)
            finally:
                _tidy(self.logs(job.task_id))
        raise AssertionError("the last attempt returns or raises")

    def _cancel_unanswered(self, job: Job) -> None:
        """An sbatch that timed out may have queued its job; it has no id here and no input there."""
        known = {watched.job_id.partition("_")[0] for watched in self._watcher.live}
        label = self.label(job.task_id)
        with contextlib.suppress(QueueUnavailable):
            lost = [row.job_id for row in slurm_queue.living(self.tag) if row.carries(label)]
            slurm_queue.scancel(job_id for job_id in lost if job_id.partition("_")[0] not in known)

    def _refusal(self, job: Job, stderr: str) -> UserError:
        asked = f"{job.nodes} nodes with {job.cpus} CPUs, {job.memory_mb} MB and {job.gpus} GPUs"
        said = " ".join(line.strip() for line in stderr.splitlines() if line.strip())
        return UserError(
            f"Slurm does not take task {job.task_id!r} ({asked}): {said}",
            where=f"profile {self._profile.name!r}",
            fix=f"see `scontrol ping` and `sinfo`; limits for class {job.task_class!r} are in the profile",
        )

    # -- follow

    def poll(self) -> list[Event]:
        """What changed since the last call; waits until the next look at the queue is due."""
        return self._watcher.poll()

    def cancel(self) -> None:
        """Cancel everything of this run and wait until it is out of the queue; UserError when that fails."""
        try:
            slurm_queue.cancel(self.tag)
            self._watcher.expect_no_more()
        except (QueueUnavailable, TimeoutError) as error:
            raise UserError(
                f"not everything could be cancelled: {error}",
                fix="see `scontrol ping` and `squeue`, then cancel again",
            ) from None


def worker_entry() -> Entry:
    """The worker's entry point, imported when it is first needed."""
    from runtime.worker import run_shard

    return run_shard


def importable(entry: Entry) -> Entry:
    """The entry point itself, if a node can import it by name; ValueError for closures and scripts."""
    if entry.__module__ == "__main__" or "<" in entry.__qualname__:
        raise ValueError(f"a node cannot import {entry.__module__}.{entry.__qualname__}")
    return entry


def max_array_size() -> int:
    """The most elements that this cluster takes in one array."""
    try:
        settings = slurm_queue.ask("scontrol", "show", "config")
    except QueueUnavailable as error:
        raise unreachable(error) from None
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", settings, re.MULTILINE)
    return max(1, int(found[1])) if found else 1


def unreachable(error: QueueUnavailable) -> UserError:
    """The error for a controller that does not answer while we need it."""
    return UserError(f"Slurm does not answer: {error}", fix="see `scontrol ping`, then submit again")


def _tidy(folder: Path) -> None:
    """Remove what submitit leaves beside the scripts, logs and inputs that are named by their job's id."""
    for left in (*folder.glob(".submission_file_*.sh"), *folder.glob("[0-9a-f]" * 32 + ".pkl")):
        left.unlink(missing_ok=True)
