"""Which dispatcher a profile asks for, and where its logs are. How shards run is the dispatcher's."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from compiler.errors import UserError
from compiler.plan import Plan
from compiler.profile import Profile
from runtime.dispatch.base import Dispatcher
from runtime.journal import Journal
from runtime.store import Store
from runtime.worker import gather, task_key


def dispatcher(plan: Plan, file: Path, store: Store, profile: Profile, journal: Journal) -> Dispatcher:
    """A dispatcher for a plan. `file` is plan.json; logs go beside it."""
    if profile.dispatch == "inline":
        from runtime.dispatch.inline import InlineDispatcher

        return InlineDispatcher(file, store.root)
    if profile.dispatch == "local":
        from runtime.dispatch.local import LocalDispatcher

        return LocalDispatcher(file, store.root, logs_of(file), profile.workers)
    return _slurm(plan, file, store, profile, journal)


def _slurm(plan: Plan, file: Path, store: Store, profile: Profile, journal: Journal) -> Dispatcher:
    slurm = _slurm_module()
    dispatcher: Dispatcher = slurm.SlurmDispatcher(
        file,
        store.root,
        file.parent,
        profile,
        is_done=lambda task, shard: is_done(plan, store, task, shard),
        on_submitted=lambda task, shard, job: journal.write("submitted", task=task, shard=shard, job=job),
    )
    return dispatcher


def _slurm_module() -> ModuleType:
    try:
        return import_module("runtime.dispatch.slurm")
    except ModuleNotFoundError as error:
        raise UserError(
            f"running on SLURM needs the package {error.name!r}", fix="pip install 'ocspec[slurm]'"
        ) from None


def is_done(plan: Plan, store: Store, task_id: str, shard: int) -> bool:
    """Whether the store has a shard's result, or the whole task's."""
    task = plan.task(task_id)
    if store.find(task.fingerprint):
        return True
    try:
        key, _ = task_key(task, gather(task, plan, store))
    except UserError:  # an input is not there, so this cannot be
        return False
    return store.shard_result(key, task.shards, shard) is not None


def logs_of(file: Path) -> Path:
    """Where the logs of a plan's tasks are."""
    return file.parent / "logs"


def log_files(file: Path, task_id: str) -> list[Path]:
    """The logs of a task: those of local shards by number, then those of Slurm jobs by time."""
    logs = logs_of(file)
    local = sorted((logs / task_id.replace("/", "--")).glob("*.log"), key=lambda log: int(log.stem))
    if not (logs / "slurm").is_dir():
        return local
    folder = logs / "slurm" / _slurm_module().slug(task_id)
    jobs = [log for ending in ("out", "err") for log in folder.glob(f"*_log.{ending}")]
    return local + sorted(jobs, key=lambda log: log.stat().st_mtime)
