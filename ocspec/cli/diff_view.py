"""How a difference looks: the changes as a tree, the tasks that are touched and why, what they take. Rendering only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from compiler.diff import Cause, Change, PlanDiff, TaskDiff, to_json
from compiler.diff_cost import DiffCost
from compiler.plan import Plan
from ocspec.cli import amounts, overrides
from ocspec.cli.changes import SYMBOLS, lines, short_names, values
from ocspec.cli.groups import MOST_LINES, change_groups, group_name, place_name, shape, task_groups
from ocspec.cli.output import console, one_line, plural, print_table

if TYPE_CHECKING:
    from compiler.cost.estimate import Estimate

ACTIONS = ("reuse", "rebuild", "new", "may cut off", "removed")
MOST_NAMES = 2
WIDE = 120
"""Columns from which on a task's row says more than how long it takes."""
LONGEST = 60


@attrs.frozen(kw_only=True)
class Comparison:
    """Two plans, what differs, and what that takes."""

    before: Plan
    after: Plan
    diff: PlanDiff
    cost: DiffCost


def show(one: Comparison, *, everything: bool) -> None:
    """The changes, the tasks that are not reused, and the sum. Much that is alike is gathered unless `everything`."""
    if not one.diff.differs:
        ignored = f" but {_ignored(one.diff)}" if one.diff.ignored else ""
        print(f"no difference{ignored}; all {plural(len(one.after.tasks), 'task')} are the same")
        return
    width = console().width
    print(heading(one.diff))
    for line in _changes(one, width, everything=everything):
        print(line)
    touched = [task for task in one.diff.tasks if everything or task.action != "reuse"]
    if touched:
        print()
        print_table(*task_table(one, touched, width, everything=everything))
    print(f"\n{sentence(one, width)}")


def heading(diff: PlanDiff) -> str:
    """`3 changes, 2 ignored`."""
    return plural(len(diff.changes), "change") + (f", {_ignored(diff)}" if diff.ignored else "")


def _ignored(diff: PlanDiff) -> str:
    return f"{len(diff.ignored):,} ignored"


# ---------------------------------------------------------------- changes


def _changes(one: Comparison, width: int, *, everything: bool) -> Iterator[str]:
    specs = (one.before.spec, one.after.spec)
    if everything or len(one.diff.changes) <= MOST_LINES:
        return lines(one.diff.changes, specs, width)
    return _gathered(change_groups(one.diff.changes, specs), specs, width)


def _gathered(groups: Sequence[Sequence[Change]], specs: Sequence[dict[str, Any]], width: int) -> Iterator[str]:
    """A line for each group: its place with `*`, how many there are, and the values where they are the same."""
    rows = []
    for group in groups:
        first, alike = group[0], len({values(change) for change in group}) == 1
        said = values(first) if alike else f"{values(first)}, ..."
        rows.append((f"{SYMBOLS[first.kind]} {place_name(group, specs)}", said, first.change_class))
    labels = max(len(label) for label, _, _ in rows)
    for label, said, change_class in rows:
        space = max(20, width - labels - len(change_class) - 8)
        yield f"  {label:<{labels}}  {_cut(said, space)}  [{change_class}]"


# ---------------------------------------------------------------- tasks

Column = tuple[str, Callable[["Estimate"], str]]


def task_table(
    one: Comparison, touched: Sequence[TaskDiff], width: int, *, everything: bool
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headers and rows: task or group, action, what it takes, and because of what."""
    groups = [[task] for task in touched] if everything else task_groups(touched)
    gpus = any(estimate.gpu_hours.high for estimate in one.cost.estimates.values())
    columns: list[Column] = [(">time", lambda e: amounts.amount(e.seconds, amounts.SECONDS))]
    if width >= WIDE:
        columns += [
            (">tokens", lambda e: amounts.amount(e.tokens, amounts.COUNT) if e.tokens.high else ""),
            (">FLOPs", lambda e: amounts.scientific(e.flops) if e.flops.high else ""),
            (">GPU time", lambda e: amounts.amount(e.gpu_hours, amounts.HOURS))
            if gpus
            else (">CPU time", lambda e: amounts.amount(e.cpu_hours, amounts.HOURS)),
        ]
    if not one.cost.estimates:
        columns = []
    names = short_names([change.path for change in one.diff.changes], (one.before.spec, one.after.spec))

    def cells(group: Sequence[TaskDiff]) -> tuple[str, ...]:
        runs = any(task.id in one.cost.estimates for task in group)
        taken = one.cost.of(group) if runs else None
        found = [text(taken) if taken else "" for _, text in columns]
        return (one_line(group_name(group)), group[0].action, *found, _because(group, names, one))

    return ("task", "action", *(name for name, _ in columns), "because"), [cells(group) for group in groups]


def _because(group: Sequence[TaskDiff], names: dict[str, str], one: Comparison) -> str:
    """The first cause with its values, how many more there are, and the nearest task it came through.

    `--json` has all. Of a group what is the same for all of it.
    """
    task = group[0]
    if not task.causes:
        return ""
    if len(group) > 1:
        return _together(group)
    more = f" and {len(task.causes) - 1} more" if len(task.causes) > 1 else ""
    return f"{cause_text(task.causes[0], names)}{more}{_through(task, one)}"


def _together(group: Sequence[TaskDiff]) -> str:
    firsts = [task.causes[0] for task in group if task.causes]
    places = {shape(cause.path) if cause.in_spec else cause.path for cause in firsts}
    if len(places) > 1:
        return f"{len({(cause.task, cause.path) for cause in firsts}):,} changes"
    said = {_values(cause) for cause in firsts}
    return f"{places.pop()}: {said.pop() if len(said) == 1 else f'{len(said):,} values'}"


def cause_text(cause: Cause, names: dict[str, str]) -> str:
    """`schedule.peak: 0.001 -> 0.002`; of a pre-image with the task that it is of."""
    if cause.in_spec:
        colon = ":" if cause.kind == "changed" else ""
        return f"{names.get(cause.path, cause.path)}{colon} {_values(cause)}"
    return f"{cause.task} {cause.path}: {_values(cause)}"


def _values(cause: Cause) -> str:
    from ocspec.cli.because import value_text

    said = overrides.text if cause.in_spec else value_text
    if cause.kind == "changed":
        return f"{_cut(said(cause.before), LONGEST // 2)} -> {_cut(said(cause.after), LONGEST // 2)}"
    return cause.kind


def _through(task: TaskDiff, one: Comparison) -> str:
    """The tasks that it reads the difference from, the nearest only."""
    beyond = {upstream for name in task.through for upstream in one.after.task(name).upstream}
    nearest = [name for name in task.through if name not in beyond]
    return f" through {_few(nearest)}" if nearest else ""


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _cut(text: str, space: int) -> str:
    return text if len(text) <= space else f"{text[: space - 3]}..."


# ---------------------------------------------------------------- sums


def sentence(one: Comparison, width: int) -> str:
    """`Plan: 9 reuse, 3 rebuild, 2 new, 1 may cut off - 41.2 B tokens, 118 GPU-h (90-150), 2.1 TB written`."""
    counts = Counter[str](task.action for task in one.diff.tasks)
    first = f"Plan: {', '.join(f'{counts[action]:,} {action}' for action in ACTIONS if counts[action])}"
    if not one.cost.estimates:
        return f"{first} - 0 tasks to build"
    second = taken(one.cost)
    line = f"{first} - {second}"
    return line if len(line) <= width else f"{first}\n      {second}"


def taken(cost: DiffCost) -> str:
    """`41.2 B tokens, 118 GPU-h (90-150), 2.1 TB written`, of all tasks that are built anew."""
    total = cost.total
    hours = (total.gpu_hours, amounts.GPU_HOURS) if total.gpu_hours.high else (total.cpu_hours, amounts.CPU_HOURS)
    parts = [f"{amounts.middle(cost.trained, amounts.COUNT)} tokens"] if cost.trained.high else []
    known = total.bytes_written.high and (total.bytes_written.low >= 1 or total.bytes_written.is_known)
    written = f"{amounts.middle(total.bytes_written, amounts.BYTES)} written" if known else "unknown bytes written"
    return ", ".join([*parts, amounts.middle(*hours), written])


def show_arms(arms: Sequence[Comparison]) -> None:
    """A line for each arm: what it changes, how many tasks that touches, and what it takes."""
    rows = []
    for one in arms:
        counts = Counter[str](task.action for task in one.diff.tasks)
        said = ", ".join(f"{counts[action]:,} {action}" for action in ACTIONS[1:] if counts[action])
        rows.append((one_line(one.after.experiment), said or "0 tasks", taken(one.cost) if one.cost.estimates else ""))
    print_table(("arm", "touches", "takes"), rows)
    print(f"\n{plural(len(arms), 'arm')}, {shared(arms)}")


def shared(arms: Sequence[Comparison]) -> str:
    """How many different tasks the arms have together beside those of the side before."""
    plans = [one.after for one in arms]
    everything = {task.fingerprint for plan in plans for task in plan.tasks}
    beyond = everything - {task.fingerprint for task in arms[0].before.tasks}
    tasks = sum(len(plan.tasks) for plan in plans)
    different = f"{len(everything):,} are different and {len(beyond):,} not in the side before"
    return f"{plural(tasks, 'task')}, of which {different}"


# ---------------------------------------------------------------- for programs


def facts(one: Comparison) -> dict[str, Any]:
    """All of it as plain data; a task that is built anew has an estimate, intervals by name."""
    found = to_json(one.diff)
    for task in found["tasks"]:
        estimate = one.cost.estimates.get(task["id"])
        task["estimate"] = _estimate(estimate) if estimate else None
    del found["format_version"], found["kind"]
    total = {**_estimate(one.cost.total), "trained_tokens": amounts.plain(one.cost.trained)}
    sides = {"before": one.before.experiment, "after": one.after.experiment}
    return {**sides, "delta": overrides.delta_facts(one.after.delta), **found, "total": total}


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {name: amounts.plain(value) for name, value in attrs.asdict(estimate, recurse=False).items()}
