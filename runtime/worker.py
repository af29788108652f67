"""The worker: runs one shard of one task from plan.json. The only thing that runs on a node; it never imports a spec.

    python -m runtime.worker PLAN TASK SHARD --store DIR

It makes its key from its inputs' digests, does nothing if that is built already, and publishes the artefact when it
finishes the last shard. Scheduling and retries are not its business.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compiler import canonical
from compiler import plan as plans
from compiler.errors import UserError
from compiler.plan import Plan, Task
from runtime import code_version, digest, operators
from runtime.full_disk import as_one_message
from runtime.journal import Journal
from runtime.lineage.trail import role_before
from runtime.processes import die_with_parent
from runtime.store import RESULT, Store
from runtime.task import Artifact, TaskContext

PROGRESS_SECONDS = 0.5


def run_shard(plan_path: str, task_id: str, shard: int, store: str) -> None:
    """Run one shard and publish the artefact if it was the last. Plain data in, nothing out: the store has it.

    Raises UserError where the inputs are at fault or the disk is full.
    """
    with as_one_message(f"{task_id} in {store}", fix="free some, or choose another --store"):
        _run(Path(plan_path), task_id, shard, Store(Path(store)))


def _run(path: Path, task_id: str, shard: int, home: Store) -> None:
    plan = plans.load(path)
    task = plan.task(task_id)
    journal = Journal(path.parent / "journal")
    began = time.time()
    if home.find(task.fingerprint):
        return
    inputs = gather(task, plan, home)
    key, preimage = task_key(task, inputs)
    if home.artifact(key):
        home.remember(task.fingerprint, key)
        journal.write("cut_off", task=task_id, key=key)
        return
    with home.attempt(key, task.shards, shard) as directory:
        if directory is not None:
            journal.write("started", task=task_id, shard=shard, host=platform.node(), pid=os.getpid())
            try:
                _work(task, shard, inputs, directory, home, key, path)
            except BaseException as error:
                journal.write("failed", task=task_id, shard=shard, error=_one_line(error))
                raise
    if directory is not None:  # only now is the shard in its place: killed a moment before, it would run again
        journal.write("finished", task=task_id, shard=shard, seconds=round(time.time() - began, 3))
    publish_if_complete(task, key, preimage, inputs, home, journal)


def gather(task: Task, plan: Plan, store: Store) -> dict[str, tuple[Artifact, ...]]:
    """The artefacts that a task reads, by role; a UserError names one that is not built."""
    found: dict[str, tuple[Artifact, ...]] = {}
    for item in task.inputs:
        artifact = store.find(plan.task(item.task).fingerprint)
        if artifact is None:
            raise UserError(f"{task.id} needs {item.task}, which is not built", fix="run `ocspec submit` again")
        found[item.role] = (*found.get(item.role, ()), artifact)
    return found


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
) -> None:
    """Run the operator in `directory` and write down what it made."""
    began, cpu = time.time(), _cpu_seconds()
    scratch = directory / "scratch"
    for name in ("out", "scratch"):
        (directory / name).mkdir()
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
        threads=min(task.resources.cpus, os.cpu_count() or 1),
        memory_mb=task.resources.memory_mb,
        base=_base(plan),
        progress=_Progress(plan.parent / "progress" / f"{task.id.replace('/', '--')}.{shard}.json"),
    )
    operators.load(task.op.op_id)(task.op, context)
    shutil.rmtree(scratch)
    outputs = {n: digest.digest_output(context.out / n, kind) for n, kind in task.op.outputs.items()}
    timing = {
        "started": round(began, 3),
        "seconds": round(time.time() - began, 3),
        "cpu_seconds": round(_cpu_seconds() - cpu, 3),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "host": platform.node(),
    }
    result = {"outputs": outputs, "stats": context.stats, "timing": timing}
    (directory / RESULT).write_text(json.dumps(result, sort_keys=True))


def publish_if_complete(
    task: Task,
    key: str,
    preimage: canonical.Tree,
    inputs: Mapping[str, tuple[Artifact, ...]],
    store: Store,
    journal: Journal,
) -> None:
    """Publish the artefact once every shard is finished; any process may, one does."""
    if store.artifact(key) is None:
        results = [store.shard_result(key, task.shards, shard) for shard in range(task.shards)]
        done = [result for result in results if result is not None]
        if len(done) < task.shards:
            return
        store.publish(key, task.shards, manifest(task, key, preimage, inputs, done))
        journal.write("published", task=task.id, key=key)
    store.remember(task.fingerprint, key)


def manifest(
    task: Task,
    key: str,
    preimage: canonical.Tree,
    inputs: Mapping[str, tuple[Artifact, ...]],
    results: list[dict[str, Any]],
) -> dict[str, Any]:
    """What stands beside an artefact: where it came from, what it holds, how long it took."""
    outputs = {name: digest.combine(r["outputs"][name] for r in results) for name in task.op.outputs}
    stats = _sum([result["stats"] for result in results])
    if "in" in stats and stats["in"] != stats["kept"] + _total(stats.get("dropped", {})):
        raise AssertionError(
            f"{task.id} lost documents: {stats['in']} in, {stats['kept']} kept, {stats['dropped']} dropped"
        )
    check_chain(task, inputs, stats)
    content = [f"{name}\0{output['digest']}" for name, output in sorted(outputs.items()) if "digest" in output]
    return {
        "format_version": 1,
        "task": task.id,
        "key": key,
        "fingerprint": task.fingerprint,
        "digest": digest.hash_lines(content),
        "outputs": outputs,
        "stats": stats,
        "preimage": preimage,
        "plan_preimage": task.preimage,
        "inputs": {
            role: [{"task": a.task_id, "key": a.manifest["key"], "digest": a.manifest["digest"]} for a in artifacts]
            for role, artifacts in inputs.items()
        },
        "shards": [result["timing"] for result in results],
        "code": code_version.code_version(),
        "resources": plans.CONVERTER.unstructure(task.resources),
    }


def check_chain(task: Task, inputs: Mapping[str, tuple[Artifact, ...]], stats: Mapping[str, Any]) -> None:
    """Refuse a step into which other documents went than the step before let through."""
    role = role_before(task)
    for before in inputs.get(role, ()) if role and "in" in stats else ():
        left = before.manifest.get("stats", {})
        # Where a step counts chunks, `documents` counts documents.
        went_in, came_out = stats.get("documents", stats)["in"], left.get("documents", left).get("kept")
        if came_out is not None and went_in != came_out:
            raise UserError(
                f"{task.id} was given {went_in} documents, but {before.task_id} let {came_out} through",
                fix="the sources changed while the plan ran: compile again; if they did not, this is a bug in ocspec",
            )


def _sum(trees: list[Any]) -> Any:
    """Add up trees of numbers."""
    if not isinstance(trees[0], dict):
        return sum(trees)
    keys = sorted({key for tree in trees for key in tree})
    return {key: _sum([tree[key] for tree in trees if key in tree]) for key in keys}


def _total(tree: Any) -> int:
    return sum(_total(value) for value in tree.values()) if isinstance(tree, dict) else int(tree)


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
    if args.parent:
        die_with_parent(args.parent)
    try:
        run_shard(args.plan, args.task, args.shard, args.store)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
