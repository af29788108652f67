"""Which dispatcher a profile asks for, and where its logs are. How shards run is the dispatcher's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from compiler.errors import UserError
from compiler.plan import Plan, TaskClass
from compiler.profile import Profile
from ocspec.cli.output import say
from runtime.dispatch.base import Dispatcher
from runtime.store import Store

if TYPE_CHECKING:
    from runtime.dispatch.slurm.run import SlurmRun
    from runtime.dispatch.workers import Worker


def dispatcher(file: Path, store: Store, profile: Profile, workers: Mapping[TaskClass, Worker]) -> Dispatcher:
    """A dispatcher for a plan that runs on this machine. `file` is plan.json; logs go beside it."""
    if profile.dispatch == "inline":
        from runtime.dispatch.inline import InlineDispatcher

        return InlineDispatcher(file, store.root)
    from runtime.dispatch.local import LocalDispatcher

    return LocalDispatcher(file, store.root, logs_of(file), profile.workers, workers)


def workers_here(plan: Plan, store: Store, profile: Profile) -> dict[TaskClass, Worker]:
    """How the workers of what is missing start on this machine; UserErrors for all that would keep one from running."""
    from runtime.dispatch import workers
    from runtime.run import to_run

    return workers.workers_here(to_run(plan, store), profile, os.environ)


def slurm_run(plan: Plan, file: Path, store: Store, profile: Profile) -> SlurmRun:
    """The run of a plan on Slurm, which says on stderr what it waits for; a UserError without submitit."""
    try:
        from runtime.dispatch.slurm.run import SlurmRun
    except ModuleNotFoundError as error:
        raise UserError(
            f"running on SLURM needs the package {error.name!r}", fix="pip install 'ocspec[slurm]'"
        ) from None
    return SlurmRun(plan=plan, plan_path=file, store=store, profile=profile, say=say)


def logs_of(file: Path) -> Path:
    """Where the logs of a plan's tasks are."""
    return file.parent / "logs"


def log_files(file: Path, task_id: str) -> list[Path]:
    """The logs of a task: those of local shards by number, then those of Slurm jobs by time."""
    from runtime.dispatch.slurm import labels

    local = sorted(_local_logs(file, task_id).glob("*.log"), key=lambda log: int(log.stem))
    jobs = labels.logs_of(file.parent, task_id).glob("*_log.out")
    return local + sorted(jobs, key=lambda log: log.stat().st_mtime)


def _local_logs(file: Path, task_id: str) -> Path:
    return logs_of(file) / task_id.replace("/", "--")


@attrs.frozen
class Logs:
    """Which log is whose, as ledger and journal told when they were read: once, for however many shards.

    `jobs` are the ids of each shard's jobs, oldest first; `shards` those that each job of a task runs.
    """

    file: Path
    jobs: Mapping[tuple[str, int], Sequence[str]]
    shards: Mapping[tuple[str, str], tuple[int, ...]]

    @classmethod
    def read(cls, file: Path) -> Logs:
        """Those of a plan. `file` is plan.json."""
        from runtime.dispatch.slurm import ledger

        ours = ledger.Ledger(file.parent)
        events = ours.journal.read()
        ids, gone = ledger.job_ids(events), ledger.withdrawn(events)
        jobs: dict[tuple[str, int], list[str]] = {}
        carried: dict[tuple[str, str], tuple[int, ...]] = {}
        for one in ours.submissions():
            for element, shards in enumerate(one.elements if one.id in ids and one.id not in gone else ()):
                job = f"{ids[one.id]}_{element}" if len(one.elements) > 1 else ids[one.id]
                carried[one.task, job] = shards
                for shard in shards:
                    jobs.setdefault((one.task, shard), []).append(job)
        return cls(file, jobs, carried)

    def of(self, task_id: str, shard: int) -> list[Path]:
        """A shard's logs as they are or will be: that of the last local attempt, and those of its jobs by time."""
        from runtime.dispatch.slurm import labels

        folder = labels.logs_of(self.file.parent, task_id)
        jobs = self.jobs.get((task_id, shard), ())
        return [_local_logs(self.file, task_id) / f"{shard}.log", *(folder / f"{job}_0_log.out" for job in jobs)]

    def shards_in(self, task_id: str, log: Path) -> tuple[int, ...]:
        """The shards that write into a log of a task, in order; none where nobody knows its job."""
        if log.suffix == ".log":
            return (int(log.stem),)
        job = log.name.removesuffix("_log.out").rpartition("_")[0]  # without the rank
        return tuple(sorted(self.shards.get((task_id, job), ())))
