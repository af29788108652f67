"""The worker: runs one shard of one task from plan.json. The only thing that runs on a node; it never imports a spec.

    python -m runtime.worker PLAN TASK SHARD --store DIR

It makes its key from its inputs' digests, does nothing if that is built already, and publishes the artefact when it
finishes the last shard. Scheduling and retries are not its business.

Training may run in several processes (`runtime.launch`): rank 0 is the worker, and the others compute their part in a
directory of their own and leave nothing. Exit codes: 0 done; 1 failed; 75 stopped on request after saving, run again to
go on (training only); 69 another rank ended first; 76 another process took the shard over, run again to wait for it;
66 an input is not built;
137 out of memory, as a shell says of a process that the kernel killed for it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from compiler import canonical
from compiler import plan as plans
from compiler.errors import UserError, UserErrors
from compiler.plan import Plan, Resources, Task
from runtime import digest, interruption, launch, operators
from runtime.full_disk import as_one_message, full_disk
from runtime.holder import Holder
from runtime.journal import Journal
from runtime.lease import EXIT_LEASE_LOST, Lease, LeaseLost
from runtime.manifest import manifest
from runtime.processes import die_with_parent, end_with_descendants
from runtime.scratch import scratch_directory, scratch_root
from runtime.store import RESULT, Store
from runtime.task import Artifact, TaskContext

PROGRESS_SECONDS = 0.5
OUT_OF_MEMORY = 137
EXIT_INPUT_MISSING = 66  # EX_NOINPUT of sysexits.h
PATIENCE_VARIABLE = "OCSPEC_INPUT_PATIENCE_S"
MEMORY_VARIABLE = "OCSPEC_MEMORY_MB"  # set where a scheduler gave other memory than the plan asked for


def run_shard(plan_path: str, task_id: str, shard: int, store: str) -> None:
    """Run one shard and publish the artefact if it was the last. Plain data in, nothing out: the store has it.

    Raises UserError where the inputs are at fault or the disk is full.
    """
    plan = plans.load(Path(plan_path))
    with _one_disk_message(task_id, store):
        _run(Path(plan_path), plan, plan.task(task_id), shard, Store(Path(store)))


def _one_disk_message(task_id: str, store: str) -> AbstractContextManager[None]:
    places = " or ".join(str(place) for place in (store, scratch_root()) if place)
    return as_one_message(f"{task_id} in {places}", fix="free some, or choose another --store or scratch")


def _run(
    path: Path, plan: Plan, task: Task, shard: int, home: Store, ranks: Any = None, *, alone: bool = False
) -> None:
    """`ranks` are a runtime.training.ranks.Ranks of which this is rank 0, or None.

    A process that is `alone` with the shard is ended when it loses it; another one sees LeaseLost at the end. Who
    asked for the shard, the `driver` of the journal, is its parent then, and else this process itself.
    """
    task_id, journal = task.id, Journal(path.parent / "journal")
    began, driver = time.time(), os.getppid() if alone else os.getpid()
    if home.find(task.fingerprint):
        return
    inputs = _awaited(task, plan, home)
    key, preimage = task_key(task, inputs)
    if home.artifact(key):
        home.remember(task.fingerprint, key)
        journal.write("cut_off", task=task_id, key=key, host=platform.node(), driver=driver)
        return
    on_lost = _ending(journal, task_id, shard) if alone else None
    attempt = home.attempt(key, task.shards, shard, on_wait=_say_that_it_waits, on_lost=on_lost)
    with _telling(journal, task_id, shard), attempt as directory:
        if directory is not None:
            journal.write("started", task=task_id, shard=shard, host=platform.node(), pid=os.getpid())
            if ranks:
                ranks.begin()
            _work(task, shard, inputs, directory, home, key, path, ranks)
    if directory is not None:  # only now is the shard in its place: killed a moment before, it would run again
        seconds = round(time.time() - began, 3)
        journal.write("finished", task=task_id, shard=shard, seconds=seconds, host=platform.node(), driver=driver)
    publish_if_complete(plan, task, key, preimage, inputs, home, journal, driver)


def _assist(path: Path, plan: Plan, task: Task, shard: int, home: Store, ranks: Any) -> None:
    """What a rank other than 0 does: the operator, in a directory of its own that is thrown away."""
    if not ranks.follow():
        return
    journal = Journal(path.parent / "journal")
    with _telling(journal, task.id, shard, rank=ranks.here.rank), tempfile.TemporaryDirectory(prefix="ocspec-") as own:
        inputs = gather(task, plan, home)
        _operate(task, shard, inputs, Path(own), home, task_key(task, inputs)[0], path, ranks)


@contextmanager
def _telling(journal: Journal, task_id: str, shard: int, **more: int) -> Iterator[None]:
    """Note in the journal why the block was left early."""
    try:
        yield
    except interruption.Interrupted as stop:
        journal.write("interrupted", task=task_id, shard=shard, step=stop.step, **more)
        raise
    except launch.Lost as error:  # not the cause of anything: another rank ended first
        journal.write("lost", task=task_id, shard=shard, error=_one_line(error), **more)
        raise
    except LeaseLost:  # no failure: another process does it
        _journal_loss(journal, task_id, shard)
        raise
    except KeyboardInterrupt:  # nor is this: somebody stopped a run in this process, and nothing of it is kept
        journal.write("interrupted", task=task_id, shard=shard, **more)
        raise
    except BaseException as error:
        journal.write("failed", task=task_id, shard=shard, error=_one_line(error), **more)
        raise


def _say_that_it_waits(holder: Holder) -> None:
    sys.stderr.write(f"waiting: {holder} works on this shard\n")
    sys.stderr.flush()


def _ending(journal: Journal, task_id: str, shard: int) -> Callable[[Lease], None]:
    """What ends this process at once, whatever its main thread is doing, and all that it started."""

    def end(lease: Lease) -> None:
        try:
            sys.stderr.write(f"error: {task_id} shard {shard}: {LeaseLost(lease.path)}\n")
            sys.stderr.flush()
            _journal_loss(journal, task_id, shard)
        finally:
            end_with_descendants(EXIT_LEASE_LOST)

    return end


def _journal_loss(journal: Journal, task_id: str, shard: int) -> None:
    journal.write("lease_lost", task=task_id, shard=shard, host=platform.node(), pid=os.getpid())


class InputMissing(UserError):
    """A task before this one has left no artefact, as far as can be seen from here."""


def _awaited(task: Task, plan: Plan, store: Store) -> dict[str, tuple[Artifact, ...]]:
    """What `gather` finds, within the seconds that the environment grants for it to become visible."""
    end = time.monotonic() + float(os.environ.get(PATIENCE_VARIABLE) or 0)
    while True:
        try:
            return gather(task, plan, store)
        except InputMissing:
            if time.monotonic() >= end:
                raise
            time.sleep(1)


def gather(task: Task, plan: Plan, store: Store) -> dict[str, tuple[Artifact, ...]]:
    """The artefacts that a task reads, by role; a UserError names one that is not built."""
    found: dict[str, tuple[Artifact, ...]] = {}
    for item in task.inputs:
        artifact = store.find(plan.task(item.task).fingerprint)
        if artifact is None:
            raise InputMissing(f"{task.id} needs {item.task}, which is not built", fix="run `ocspec submit` again")
        found[item.role] = (*found.get(item.role, ()), artifact)
    return found


def finished_shards(plan: Plan, task: Task, store: Store) -> frozenset[int]:
    """The shards of a task that need not run: all where its artefact is there, else those with a result.

    Where all have one and nobody has put them together yet, the last one is left to do it.
    """
    everything = frozenset(range(task.shards))
    if store.find(task.fingerprint):
        return everything
    try:
        key, _ = task_key(task, gather(task, plan, store))
    except UserError:  # an input is not built, so no shard can be
        return frozenset()
    done = store.finished_shards(key, task.shards)
    return done - {task.shards - 1} if done == everything else done


def finished_by_task(plan: Plan, store: Store) -> dict[str, frozenset[int]]:
    """`finished_shards` of every task."""
    return {task.id: finished_shards(plan, task, store) for task in plan.tasks}


def task_key(task: Task, inputs: Mapping[str, tuple[Artifact, ...]]) -> tuple[str, canonical.Tree]:
    """The key of a task's artefact and the pre-image that it is the hash of: inputs enter by content digest."""
    contents = {role: [a.manifest["digest"] for a in artifacts] for role, artifacts in inputs.items()}
    preimage = canonical.task_preimage(task.op, contents)
    return canonical.fingerprint(preimage), preimage


def _work(
    task: Task,
    shard: int,
    inputs: Mapping[str, tuple[Artifact, ...]],
    directory: Path,
    store: Store,
    key: str,
    plan: Path,
    ranks: Any,
) -> None:
    """Run the operator in `directory` and write down what it made."""
    began, clock, cpu = time.time(), time.monotonic(), _cpu_seconds()
    context = _operate(task, shard, inputs, directory, store, key, plan, ranks)
    outputs = {n: digest.digest_output(context.out / n, kind) for n, kind in task.op.outputs.items()}
    timing = {
        "started": round(began, 3),
        "seconds": round(time.monotonic() - clock, 3),
        "cpu_seconds": round(_cpu_seconds() - cpu, 3),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "host": platform.node(),
    }
    result = {"outputs": outputs, "stats": context.stats, "timing": timing}
    (directory / RESULT).write_text(json.dumps(result, sort_keys=True))


def _operate(
    task: Task,
    shard: int,
    inputs: Mapping[str, tuple[Artifact, ...]],
    directory: Path,
    store: Store,
    key: str,
    plan: Path,
    ranks: Any,
) -> TaskContext:
    """Run the operator, which leaves its outputs in `directory / "out"`."""
    progress = _Progress(plan.parent / "progress" / f"{task.id.replace('/', '--')}.{shard}.json")
    (directory / "out").mkdir()
    with scratch_directory(directory / "scratch") as scratch:
        context = TaskContext(
            task_id=task.id,
            out=directory / "out",
            scratch=scratch,
            resume=store.resume_directory(key, shard),
            cache=store.root / "cache",
            shard=shard,
            shards=task.shards,
            inputs=dict(inputs),
            sql=task.sql,
            threads=_threads(task.resources, ranks.here if ranks else launch.Place()),
            memory_mb=int(os.environ.get(MEMORY_VARIABLE) or task.resources.memory_mb),
            base=_base(plan),
            progress=progress,
            ranks=ranks,
        )
        operators.load(task.op.op_id)(task.op, context)
    return context


def _threads(asked: Resources, here: launch.Place) -> int:
    """What a task asks for and the machine has; ranks share both, the former over all nodes."""
    cpus = asked.cpus if here.size == 1 else asked.cpus * asked.nodes // here.size
    return max(1, min(cpus, (os.cpu_count() or 1) // here.local_size))


def publish_if_complete(
    plan: Plan,
    task: Task,
    key: str,
    preimage: canonical.Tree,
    inputs: Mapping[str, tuple[Artifact, ...]],
    store: Store,
    journal: Journal,
    driver: int | None = None,
) -> None:
    """Publish the artefact once every shard is finished; any process may, one does. `driver` is who asked for it."""
    if store.artifact(key) is None:
        results = [store.shard_result(key, task.shards, shard) for shard in range(task.shards)]
        done = [result for result in results if result is not None]
        if len(done) < task.shards:
            return
        store.publish(key, task.shards, manifest(plan, task, key, preimage, inputs, done))
        journal.write("published", task=task.id, key=key, host=platform.node(), driver=driver)
    store.remember(task.fingerprint, key)


def _cpu_seconds() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in usage)


def _base(plan: Path) -> Path:
    """The directory that relative paths of the spec start at, as `compile` noted it beside the plan."""
    try:
        return Path((plan.parent / "base").read_text().strip())
    except OSError:
        return Path.cwd()


class _Progress:
    """Writes how far a shard is, at most twice a second, where the driver looks for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = 0.0

    def __call__(self, done: int, total: int, unit: str) -> None:
        if time.monotonic() - self._last < PROGRESS_SECONDS and done < total:
            return
        self._last = time.monotonic()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        aside = self._path.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps({"done": done, "total": total, "unit": unit}))
        os.replace(aside, self._path)


def _one_line(error: BaseException) -> str:
    if reason := full_disk(error):
        return f"no space left ({reason})"
    if isinstance(error, UserErrors):
        return "; ".join(problem.what for problem in error.problems)[:500]
    return (error.what if isinstance(error, UserError) else f"{type(error).__name__}: {error}")[:500]


def main() -> int:
    """Command line of one shard; prints one message and returns 1 where the user can fix it."""
    parser = argparse.ArgumentParser(prog="python -m runtime.worker", description=__doc__)
    parser.add_argument("plan")
    parser.add_argument("task")
    parser.add_argument("shard", type=int)
    parser.add_argument("--store", required=True)
    parser.add_argument("--parent", type=int, help="process to die with")
    args = parser.parse_args()
    interruption.listen(signal.SIGUSR2)  # at once: by default it kills, and Slurm sends it to every process
    if args.parent:
        die_with_parent(args.parent)
    try:
        _run_as_process(Path(args.plan), args.task, args.shard, args.store)
    except interruption.Interrupted as stop:
        sys.stderr.write(f"{_which_rank()}{stop}\n")
        return interruption.EXIT_CODE
    except UserError as error:
        sys.stderr.write(f"error: {_which_rank()}{error}\n")
        codes = {launch.Lost: launch.LOST_EXIT_CODE, LeaseLost: EXIT_LEASE_LOST, InputMissing: EXIT_INPUT_MISSING}
        return codes.get(type(error), 1)
    except Exception as error:
        if not _ran_out_of_memory(error):
            raise
        sys.stderr.write(f"error: {_which_rank()}out of memory: {_one_line(error)}\n")
        return OUT_OF_MEMORY
    return 0


def _ran_out_of_memory(error: BaseException) -> bool:
    """DuckDB's error is known by its name, for DuckDB need not be loaded. A GPU's memory is another matter."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryException"


def _run_as_process(path: Path, task_id: str, shard: int, store: str) -> None:
    """Run one shard in a process that has no other purpose, whose signals and variables are its own."""
    plan = plans.load(path)
    task, home = plan.task(task_id), Store(Path(store))
    with _one_disk_message(task_id, store):
        if task.resources.task_class != "train":
            interruption.disregard(signal.SIGUSR2)
            _run(path, plan, task, shard, home, alone=True)
            return
        interruption.listen()
        os.environ.update(launch.rank_environment(os.environ))
        if launch.place(os.environ).size == 1:
            _run(path, plan, task, shard, home, alone=True)
            return
        from runtime.training.ranks import Ranks  # loads torch, which a data node need not have

        with Ranks.meet(os.environ) as ranks:
            if ranks.leads:
                _run(path, plan, task, shard, home, ranks, alone=True)
            else:
                _assist(path, plan, task, shard, home, ranks)


def _which_rank() -> str:
    here = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    return "rank {} of {}: ".format(*here) if here[1] != "1" else ""


if __name__ == "__main__":
    sys.exit(main())
