"""run_plan: drive a whole plan. Finds what is missing, hands it to a dispatcher, follows it to the end.

What is finished is decided by the store, so running again does only what is missing. It starts nothing itself: that
is the dispatcher's.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from compiler import ir
from compiler.errors import UserError, UserErrors
from compiler.metadata import describe, locate, unset_variables
from compiler.plan import Plan, Task
from runtime import operators
from runtime.dispatch.base import Dispatcher, Event, Job
from runtime.full_disk import as_one_message
from runtime.journal import Journal
from runtime.store import Store

OnEvent = Callable[[Event], None]
TOKENIZER = "tokenizer"


@attrs.frozen(kw_only=True)
class Summary:
    """What a run did: tasks by outcome, in the plan's order. What another run built meanwhile is reused, too."""

    reused: tuple[str, ...] = ()
    ran: tuple[str, ...] = ()
    cut_off: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    seconds: float = 0.0


def to_run(plan: Plan, store: Store) -> list[Task]:
    """Tasks whose artefact is not there."""
    return [task for task in plan.tasks if store.find(task.fingerprint) is None]


def jobs(plan: Plan, store: Store) -> list[Job]:
    """The missing tasks as jobs, parents first."""
    missing = to_run(plan, store)
    ids = {task.id for task in missing}
    return [
        Job(
            task_id=task.id,
            shards=tuple(range(task.shards)),
            depends_on=tuple(upstream for upstream in task.upstream if upstream in ids),
            task_class=task.resources.task_class,
            cpus=task.resources.cpus,
            memory_mb=task.resources.memory_mb,
            gpus=task.resources.gpus,
            nodes=task.resources.nodes,
        )
        for task in missing
    ]


def refuse(plan: Plan, base: Path, store: Store) -> None:
    """Raise UserErrors for what cannot run: operators without a runtime, sources that are absent or have changed."""
    problems = [
        UserError(
            f"operator {op_id} has no runtime in this version; needed by {_few(tasks)}",
            fix="compile only, or take the step out of the spec",
        )
        for op_id, tasks in operators.missing(plan).items()
    ]
    wanted = to_run(plan, store)
    problems += _unset(wanted)
    problems += moved_sources(wanted, base)
    if problems:
        raise UserErrors(problems)


def run_plan(plan: Plan, store: Store, dispatcher: Dispatcher, journal: Journal, on_event: OnEvent) -> Summary:
    """Submit what is missing and follow it; KeyboardInterrupt cancels cleanly and is raised again.

    `journal` is the one that workers write, beside the plan: it tells what they did for this run and not for another.
    """
    with as_one_message(
        f"the journal and the logs in {journal.directory.parent}", fix="free some, or choose another --out"
    ):
        return _follow(plan, store, dispatcher, journal, on_event)


def _follow(plan: Plan, store: Store, dispatcher: Dispatcher, journal: Journal, on_event: OnEvent) -> Summary:
    began = time.monotonic()
    wanted = jobs(plan, store)
    journal.write("run", tasks=len(plan.tasks), missing=len(wanted), host=platform.node(), pid=os.getpid())
    left = {(job.task_id, shard) for job in wanted for shard in job.shards}
    bad: dict[str, str] = {}
    errors: list[str] = []
    started = time.time()
    try:
        dispatcher.submit(wanted)
        while left:
            for event in dispatcher.poll():
                on_event(event)
                if event.state in {"done", "failed", "cancelled"}:
                    left.discard((event.task_id, event.shard))
                if event.state in {"failed", "cancelled"}:
                    if event.state == "failed":
                        errors.append(f"{event.task_id}: {event.detail}")
                    bad.setdefault(event.task_id, event.state)
    except BaseException:
        dispatcher.cancel()
        journal.write("stopped", left=len(left))
        raise
    ran, cut = made_here(journal, started)
    names = [job.task_id for job in wanted]
    here = ran | cut | bad.keys()
    summary = Summary(
        reused=tuple(task.id for task in plan.tasks if task.id not in here.intersection(names)),
        ran=tuple(name for name in names if name in ran - cut - bad.keys()),
        cut_off=tuple(name for name in names if name in cut),
        failed=tuple(name for name in names if bad.get(name) == "failed"),
        cancelled=tuple(name for name in names if bad.get(name) == "cancelled"),
        errors=tuple(errors),
        seconds=round(time.monotonic() - began, 3),
    )
    journal.write("ended", ran=len(summary.ran), failed=len(summary.failed))
    return summary


def made_here(journal: Journal, since: float) -> tuple[set[str], set[str]]:
    """The tasks that workers of this process made, in part at least, and those that they cut off.

    `since` is in seconds since the epoch. To publish what was finished before is to make it. To come second in
    publishing what another run finished since is not; both note it.
    """
    events = [event for event in journal.read() if event["time"] >= round(since, 3)]
    mine = [event for event in events if _is_ours(event)]
    finished = {event["task"] for event in mine if event["event"] == "finished"}
    others = {event["task"] for event in events if event["event"] == "finished"} - finished
    published = {event["task"] for event in mine if event["event"] == "published"}
    return finished | (published - others), {event["task"] for event in mine if event["event"] == "cut_off"}


def _is_ours(event: Mapping[str, Any]) -> bool:
    return (event.get("host"), event.get("driver")) == (platform.node(), os.getpid())


def _unset(tasks: Iterable[Task]) -> Iterable[UserError]:
    """Variables in paths that the environment does not set, each once."""
    needed: dict[str, dict[str, None]] = {}
    for task in tasks:
        for reader in _readers(task):
            for variable in unset_variables(getattr(reader, "location", "")):
                needed.setdefault(variable, {})[_source(reader, task)] = None
    for variable, sources in needed.items():
        yield UserError(
            f"the environment variable {variable} is not set; needed by {_few(list(sources))}",
            fix=f"set {variable} to where the data lies on this machine",
        )


def _readers(task: Task) -> list[Any]:
    """What has a location in a task: its readers, its test sets and the operator itself."""
    return [*getattr(task.op, "readers", ()), *getattr(task.op, "benchmarks", ()), task.op]


def _source(reader: Any, task: Task) -> str:
    """What the spec calls it."""
    names = (getattr(reader, field, "") for field in ("source", "dataset", "name"))
    return str(next(filter(None, names), task.id))


def moved_sources(tasks: Iterable[Task], base: Path) -> list[UserError]:
    """Sources that the plan saw otherwise than they are now, each once; not those with a variable that is unset."""
    seen: set[tuple[str, str]] = set()
    return [problem for task in tasks for problem in _moved(task, base, seen)]


def _sources(task: Task) -> Iterable[tuple[str, Any]]:
    """What a task reads that lies in files, by what the spec calls it: its readers, its test sets, a tokenizer."""
    for reader in _readers(task):
        if getattr(reader, "location", "") and _format(reader) in {"parquet", "jsonl", "directory", TOKENIZER}:
            yield _source(reader, task), reader


def _format(reader: Any) -> str:
    return TOKENIZER if isinstance(reader, ir.ImportTokenizer) else getattr(reader, "format", "")


def _moved(task: Task, base: Path, seen: set[tuple[str, str]]) -> Iterable[UserError]:
    """Sources that the plan saw otherwise than they are now; those in `seen` are looked at already."""
    for name, reader in _sources(task):
        digest, looked_at = reader.digest, (_format(reader), reader.location)
        if looked_at in seen or unset_variables(reader.location):
            continue
        seen.add(looked_at)
        try:
            found = _digest_now(reader, locate(reader.location, base), name)
        except UserError as error:
            yield UserError(error.what, where=error.where or task.id, fix=error.fix)
            continue
        if found != digest and _is_of_content(reader):
            yield UserError(
                f"source {name!r} has changed since the plan was compiled ({digest[:16]} -> {found[:16]})",
                where=locate(reader.location, base),
                fix="run `ocspec compile` again, or put the data back",
            )


def _digest_now(reader: Any, location: str, name: str) -> str:
    if not isinstance(reader, ir.ImportTokenizer):
        return describe(reader.format, location, name=name).digest
    try:
        return hashlib.sha256(Path(location).read_bytes()).hexdigest()
    except OSError as error:
        what = f"tokenizer {name!r} cannot be read ({error.strerror})"
        raise UserError(what, where=location, fix="put the file there, or correct its path") from None


def _is_of_content(reader: Any) -> bool:
    """Whether a plan's digest is of files: unseen, a source is known by what is declared, a tokenizer by its name."""
    if isinstance(reader, ir.ImportTokenizer):
        return re.fullmatch(r"[0-9a-f]{64}", reader.digest) is not None
    return not reader.digest.startswith("declared:")


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
