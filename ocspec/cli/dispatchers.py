"""Which dispatcher a profile asks for, and where its logs are. How shards run is the dispatcher's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from compiler.errors import UserError
from compiler.plan import Plan
from compiler.profile import Profile
from ocspec.cli.output import say
from runtime.dispatch.base import Dispatcher
from runtime.store import Store

if TYPE_CHECKING:
    from runtime.dispatch.slurm.run import SlurmRun


def dispatcher(file: Path, store: Store, profile: Profile) -> Dispatcher:
    """A dispatcher for a plan that runs on this machine. `file` is plan.json; logs go beside it."""
    if profile.dispatch == "inline":
        from runtime.dispatch.inline import InlineDispatcher

        return InlineDispatcher(file, store.root)
    from runtime.dispatch.local import LocalDispatcher

    return LocalDispatcher(file, store.root, logs_of(file), profile.workers)


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

    local = sorted((logs_of(file) / task_id.replace("/", "--")).glob("*.log"), key=lambda log: int(log.stem))
    jobs = labels.logs_of(file.parent, task_id).glob("*_log.out")
    return local + sorted(jobs, key=lambda log: log.stat().st_mtime)


def log_of_shard(file: Path, task_id: str, shard: int) -> list[Path]:
    """The logs of one shard as they are or will be: that of the last local attempt, and those of its jobs by time."""
    from runtime.dispatch.slurm import labels, ledger

    events = ledger.Ledger(file.parent).journal.read()
    jobs, gone = ledger.job_ids(events), ledger.withdrawn(events)
    folder, found = labels.logs_of(file.parent, task_id), [logs_of(file) / task_id.replace("/", "--") / f"{shard}.log"]
    for one in ledger.Ledger(file.parent).submissions():
        if one.task != task_id or one.id in gone or one.id not in jobs:
            continue
        for element, shards in enumerate(one.elements):
            if shard in shards:
                job = f"{jobs[one.id]}_{element}" if len(one.elements) > 1 else jobs[one.id]
                found.append(folder / f"{job}_0_log.out")
    return found
