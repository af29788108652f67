"""ocspec status: every task with its state. It asks the store and the journal and changes nothing."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter

from ocspec.cli import arguments, exits
from ocspec.cli.output import duration, plural, print_json, print_table


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `status`."""
    parser = arguments.add_verb(
        subparsers, "status", run, "show every task of a plan: finished, running, failed or missing"
    )
    arguments.add_plan(parser)
    arguments.add_store(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Print the table of tasks and their numbers."""
    from ocspec.cli.states import task_states
    from runtime.journal import Journal

    plan, file = arguments.plan_at(args.plan)
    states = task_states(plan, Journal(file.parent / "journal"), arguments.store_at(args.store))
    counts = Counter(state.state for state in states)
    if args.json:
        tasks = [{"id": s.task.id, "state": s.state, "detail": s.detail, "seconds": s.seconds} for s in states]
        print_json("status", experiment=plan.experiment, counts=dict(counts), tasks=tasks)
        return exits.OK
    times = ["" if s.seconds is None else duration(s.seconds) for s in states]
    rows = [(s.task.id, s.state, time, s.detail) for s, time in zip(states, times, strict=True)]
    print_table(("task", "state", ">time", "detail"), rows)
    numbers = ", ".join(f"{counts[state]} {state}" for state in ("finished", "running", "failed", "missing"))
    print(f"\n{plan.experiment}: {plural(len(states), 'task')}, {numbers}")
    return exits.OK
