"""ocspec usage: what the runs of a plan used, task by task, beside the plan's estimate. Rendering and JSON only."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ocspec.cli import arguments, exits
from ocspec.cli.output import one_line, plural, print_json, print_table

if TYPE_CHECKING:
    from runtime.dispatch.slurm.labels import Label
    from runtime.usage import RunUsage, TaskUsage

NOT_KNOWN = "-"
SOURCES = {"sacct": "sacct", "manifest": "manifests, which have no failed attempts"}


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `usage`."""
    parser = arguments.add_verb(
        subparsers,
        "usage",
        run,
        "show what a run used: hours of CPUs and GPUs, waiting, efficiency",
        "jobs      jobs, array elements, or processes here; 3+1: one of three ran again\n"
        "waited    in the queue from when it could have run, the mean of all attempts\n"
        "wall      from the first start to the last end\n"
        "CPU-h     hours of processors that were allocated, used or not; GPU-h likewise\n"
        "CPU, mem  used share of what was allocated; of memory, in the largest attempt\n"
        "planned   what the plan expected, of GPU-h where it asked for GPUs, else CPU-h",
        "Jobs on SLURM are counted by sacct, with all their attempts; what ran elsewhere\n"
        "by the manifests of what it built, without attempts that failed.",
    )
    arguments.add_plan(parser)
    arguments.add_store(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Print the table of tasks, the totals, and where they are from."""
    from runtime.dispatch.slurm import labels
    from runtime.journal import Journal
    from runtime.usage import run_usage

    plan, file = arguments.plan_at(args.plan)
    tag = labels.tag_of(file.parent)

    def carries(task: str, name: str) -> bool:
        label: Label | None = labels.read(name)
        return label is not None and (label.run, label.task) == (tag, labels.slug(task))

    usage = run_usage(plan, Journal(file.parent / "journal").read(), arguments.store_at(args.store), carries)
    if args.json:
        _print_json(plan.experiment, usage)
    else:
        _show(plan.experiment, usage)
    return exits.OK


def _print_json(experiment: str, usage: RunUsage) -> None:
    import attrs

    totals = {"cpu_hours": usage.cpu_hours, "gpu_hours": usage.gpu_hours}
    tasks = [attrs.asdict(task) for task in usage.tasks]
    print_json(
        "usage",
        experiment=experiment,
        totals=totals,
        tasks=tasks,
        reused=list(usage.reused),
        trouble=usage.trouble,
    )


def _show(experiment: str, usage: RunUsage) -> None:
    gpus = any(task.gpu_hours for task in usage.tasks)
    # Names come last: in a narrow terminal it is they that are folded, and no number is cut.
    headers = [">jobs", ">waited", ">wall", ">CPU-h", *([">GPU-h"] if gpus else []), ">CPU", ">mem", ">planned", "task"]
    if usage.tasks:
        print_table(headers, [_row(task, gpus) for task in usage.tasks])
        print()
    total = f"{hours(usage.cpu_hours)} CPU-hours, {hours(usage.gpu_hours)} GPU-hours"
    print(f"{one_line(experiment)}: {plural(len(usage.tasks), 'task')}, {total}")
    for line in (*_estimate(usage), *_remarks(usage)):
        print(line)


def _row(task: TaskUsage, gpus: bool) -> list[str]:
    jobs = f"{task.jobs:,}" + (f"+{task.repeats:,}" if task.repeats else "")
    planned = task.planned_gpu_hours or task.planned_cpu_hours
    return [
        jobs,
        NOT_KNOWN if task.waited is None else brief(task.waited),
        brief(task.wall),
        hours(task.cpu_hours),
        *([hours(task.gpu_hours) if task.gpu_hours else NOT_KNOWN] if gpus else []),
        _percent(task.cpu_efficiency),
        _percent(task.memory_efficiency),
        NOT_KNOWN if planned is None else hours(planned),
        one_line(task.task),
    ]


def _estimate(usage: RunUsage) -> Iterator[str]:
    """Hours of the tasks that the plan had an estimate for, beside it."""
    known = usage.foreseen
    if not known:
        return
    which = plural(len(known), "task")
    used, planned = sum(task.cpu_hours for task in known), sum(task.planned_cpu_hours or 0.0 for task in known)
    yield f"of {which} with an estimate: {hours(used)} CPU-hours used, {hours(planned)} planned"
    used, planned = sum(task.gpu_hours for task in known), sum(task.planned_gpu_hours or 0.0 for task in known)
    if used or planned:
        yield f"of {which} with an estimate: {hours(used)} GPU-hours used, {hours(planned)} planned"


def _remarks(usage: RunUsage) -> Iterator[str]:
    """Where the numbers are from, and what is not in them."""
    counts = Counter[str](task.source for task in usage.tasks)
    said = [f"{plural(counts[source], 'task')} by {name}" for source, name in SOURCES.items() if counts[source]]
    if said:
        yield f"source: {', '.join(said)}"
    if usage.trouble:
        yield f"sacct did not answer: {one_line(' '.join(usage.trouble.split()))}"
    if usage.reused:
        yield f"reused, and not in the numbers: {plural(len(usage.reused), 'task')}"


def brief(seconds: float) -> str:
    """A time in at most five characters.

    >>> brief(3.21), brief(75), brief(5_400), brief(200_000)
    ('3.2s', '1.2m', '1.5h', '2.3d')
    """
    for unit, size, most in (("s", 1, 60), ("m", 60, 60), ("h", 3600, 48)):
        if seconds < (most - 0.05) * size:
            return f"{seconds / size:.1f}{unit}"
    return f"{seconds / 86_400:,.1f}d"


def hours(number: float) -> str:
    """Hours in two or three digits.

    >>> hours(0.00031), hours(0.0612), hours(1.234), hours(114_876.2), hours(0)
    ('<0.001', '0.061', '1.23', '114,876', '0')
    """
    if 0 < number < 0.001:
        return "<0.001"
    if number < 1:
        return f"{number:.3f}" if number else "0"
    return f"{number:.2f}" if number < 100 else f"{number:,.0f}"


def _percent(share: float | None) -> str:
    return NOT_KNOWN if share is None else f"{share:.0%}"
