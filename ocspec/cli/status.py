"""ocspec status: every task with its state. It asks the store, the journal and Slurm, and changes nothing."""

from __future__ import annotations

import textwrap
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocspec.cli import arguments, exits
from ocspec.cli.output import console, one_line, plural, print_json, print_table, say

if TYPE_CHECKING:
    from compiler.plan import Plan, Task
    from ocspec.cli.remaining import History
    from ocspec.cli.states import Standing
    from ocspec.cli.views import TaskView
    from runtime.store import Store

ALWAYS = ("finished", "running", "queued", "failed", "missing")


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `status`."""
    parser = arguments.add_verb(
        subparsers,
        "status",
        run,
        "show every task of a plan: finished, running, queued, failed or missing",
        "`time` is what its shards took, or how long it has run or waited; `left` is an\n"
        "estimate by progress, finished shards or the plan. Of a plan that was submitted\n"
        "to SLURM it asks the queue, and shows why a task waits, its jobs and nodes.",
    )
    arguments.add_plan(parser)
    arguments.add_store(parser)
    parser.add_argument("--task", metavar="TASK", help="only this task, shard by shard")
    parser.add_argument("--all", action="store_true", help="show the tasks of finished data sets and stages, too")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Print the tree of tasks and their numbers."""
    from ocspec.cli.states import standing

    plan, file = arguments.plan_at(args.plan)
    only = arguments.task_called(plan, args.task) if args.task else None
    store = arguments.store_at(args.store)
    now = standing(plan, file.resolve().parent, store)
    if now.unanswered:
        say(f"Slurm does not answer ({now.unanswered}): what waits and runs is told by the journal alone")
    views = look(now, [only] if only else plan.tasks, file.parent, store)
    if args.json:
        counts = Counter(view.state for view in views)
        tasks = [as_json(view) for view in views]
        told = {"dispatch": now.dispatch, "slurm_answers": now.dispatch == "slurm" and not now.unanswered}
        print_json("status", experiment=plan.experiment, **told, counts=dict(counts), tasks=tasks)
    else:
        show(plan, views, everything=args.all or only is not None, shards=only is not None)
    return exits.OK


def look(now: Standing, tasks: Iterable[Task], run_dir: Path, store: Store) -> list[TaskView]:
    """Tasks with their times."""
    from ocspec.cli.remaining import histories

    told = histories(now.events)
    return [_view(task, now, told.get(task.id, {}), run_dir, store) for task in tasks]


def _view(task: Task, now: Standing, history: History, run_dir: Path, store: Store) -> TaskView:
    from ocspec.cli.remaining import seconds_left
    from ocspec.cli.views import TaskView

    shards, clock = now.shards[task.id], time.time()
    artifact = store.find(task.fingerprint) if now.is_finished(task.id) else None
    seconds = sum(timing["seconds"] for timing in artifact.manifest["shards"]) if artifact else None
    return TaskView(
        task=task,
        shards=shards,
        now=clock,
        seconds=seconds,
        left_s=seconds_left(task, shards, run_dir, history, clock),
        retried=frozenset(shard.shard for shard in shards if now.is_retried(shard)),
    )


def show(plan: Plan, views: list[TaskView], *, everything: bool, shards: bool) -> None:
    """The tree, the shards of a single task if asked for, and the sum."""
    from ocspec.cli.tree import shard_rows, tree

    out = console()
    for line in tree(views, out.width, everything=everything):
        out.print(line, soft_wrap=True)
    if shards:
        print()
        print_table((">shard", "state", "job", "node", "detail"), shard_rows(views[0].shards))
    print("\n" + "\n  ".join(textwrap.wrap(sentence(plan, views), out.width, break_on_hyphens=False)))


def sentence(plan: Plan, views: list[TaskView]) -> str:
    """`tiny: 14 tasks, 3 finished, 1 running, 4 queued, 0 failed, 6 missing`."""
    counts = Counter(view.state for view in views)
    states = [*ALWAYS, *(["cancelled"] if counts["cancelled"] else [])]
    numbers = ", ".join(f"{counts[state]} {state}" for state in states)
    return f"{one_line(plan.experiment)}: {plural(len(views), 'task')}, {numbers}"


def as_json(view: TaskView) -> dict[str, Any]:
    """A task as plain data: with its shards that are not finished. Times are seconds."""
    failed = next((shard.detail for shard in view.shards if shard.state == "failed"), "")
    interrupted = next((shard.detail for shard in view.shards if shard.detail == "interrupted"), "")
    return {
        "id": view.task.id,
        "state": view.state,
        "detail": failed or view.counts or interrupted or view.reason,
        "seconds": view.seconds,
        "elapsed": view.elapsed_s,
        "left": view.left_s,
        "shards": len(view.shards),
        "finished_shards": view.kinds["finished"],
        "unfinished": [
            {
                "shard": shard.shard,
                "state": shard.state,
                "cause": shard.cause,
                "detail": shard.detail,
                "job_id": shard.job_id,
                "node": shard.node,
                "since": shard.since,
            }
            for shard in view.shards
            if shard.state != "finished"
        ],
    }
