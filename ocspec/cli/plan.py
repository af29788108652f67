"""ocspec plan: what would run and what is reused, why, and what it takes. Looks into the store and runs nothing.

With --out, what was looked at is written down as a reviewed plan, and `submit` runs that or refuses.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocspec.cli import amounts, arguments, exits, overrides
from ocspec.cli.output import console, one_line, plural, print_json, print_table, say, say_errors, short_path

if TYPE_CHECKING:
    from compiler.cost.estimate import Estimate
    from compiler.plan import Plan
    from compiler.profile import Profile
    from ocspec.cli.budgets import Budget
    from ocspec.cli.forecast import Forecast
    from runtime.reasons import Outlook
    from runtime.review import ReviewedLock

BUDGETS = ("gpu_h", "cpu_h", "wall_h", "tokens", "flops", "read_gb", "store_gb", "memory_gb", "disk_gb")
ADDING_UP: dict[str, tuple[str, amounts.Units]] = {
    "documents read": ("documents", amounts.COUNT),
    "bytes read": ("bytes_read", amounts.BYTES),
    "bytes written": ("bytes_written", amounts.BYTES),
    "FLOPs": ("flops", ()),
    "GPU time": ("gpu_hours", amounts.HOURS),
    "CPU time": ("cpu_hours", amounts.HOURS),
}
WIDE, WIDEST = 120, 160
"""Columns from which on a task's row says more than how long it takes."""


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `plan`."""
    parser = arguments.add_verb(
        subparsers,
        "plan",
        run,
        "show what would run, why, and what it takes",
        "A spec is compiled for this, and not written unless --out says where.",
        "What a task takes is an estimate between two bounds, from what past runs in the\n"
        "store took where there were any. A budget is exceeded (exit 4) when the upper\n"
        f"bound is above it. Budgets: {', '.join(BUDGETS[:4])},\n{', '.join(BUDGETS[4:])}.",
    )
    parser.add_argument(
        "plan",
        nargs="?",
        metavar="SPEC|PLAN",
        help="spec, plan.json or its directory (default: the last compiled)",
    )
    overrides.add_set(parser)
    arguments.add_shards(parser)
    arguments.add_store(parser)
    arguments.add_profile(parser)
    parser.add_argument(
        "--budget",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="what it may take at most, as gpu_h=200 or tokens=2.5T; exit 4 if it may take more; can be repeated",
    )
    parser.add_argument("--out", metavar="DIR", help="write the plan with its review there, for `ocspec submit DIR`")
    arguments.add_calibration(parser)
    parser.add_argument("--all", action="store_true", help="list reused tasks, too")
    parser.add_argument("--exit-code", action="store_true", help="exit with 2 when something would run")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Look up every task, print what would become of it, and write the review where it is asked for."""
    from ocspec.cli.budgets import budgets, not_counted, over
    from ocspec.cli.forecast import forecast_for

    limits = budgets(args.budget)
    profile = arguments.profile_called(args.profile)
    plan, base = planned(args, profile)
    found = forecast_for(plan, args)
    exceeded = [limit for limit in limits if limit.exceeded(found)]
    if args.json:
        print_json("plan", **facts(plan, found, limits))
    else:
        for line in overrides.delta_lines(plan.delta):
            print(line)
        show(found, everything=args.all)
        if limits and (left_out := not_counted(found)):
            print(left_out)
    if exceeded:
        say_errors(*(over(limit, found) for limit in exceeded))
        if args.out:
            say(f"{args.out} is not written")
        return exits.OVER_BUDGET
    if args.out:
        _write(plan, base, args, profile, found)
    return exits.DIFFERS if args.exit_code and found.runs else exits.OK


def planned(args: Namespace, profile: Profile) -> tuple[Plan, Path]:
    """The plan that is asked for, and the directory that its relative paths start at."""
    from ocspec.cli.submit import base_of

    if args.plan is None or not arguments.is_spec(args.plan):
        overrides.refuse_of_plan(args.plan, [*args.settings, "shards"] if args.shards else args.settings)
        plan, file = arguments.plan_at(args.plan)
        return plan, base_of(file) if args.out else file.parent
    return overrides.compiled(args.plan, args.settings, args.shards, profile=profile)


def _write(plan: Plan, base: Path, args: Namespace, profile: Profile, found: Forecast) -> None:
    """All that `compile` writes and the review; it is the last compiled from now on."""
    from compiler.revisions import original
    from compiler.write import remember_latest, write_plan
    from runtime.review import review_of, save

    base = original(base)
    lock = _lock(args, base)
    file = write_plan(plan, Path(args.out), base, profile)
    review = save(review_of(plan, file, found.outlooks, lock), file.parent)
    remember_latest(file, arguments.BUILD)
    say(f"written: {short_path(str(review))}; `ocspec submit {short_path(str(file.parent))}` runs exactly this plan")


def _lock(args: Namespace, base: Path) -> ReviewedLock | None:
    """The lock beside the spec as it is; of a plan that was reviewed before, the one that its spec had then.

    No lock is of another revision, or of a spec with values set.
    """
    from compiler.load import Reference
    from compiler.lock import lock_file
    from runtime import review

    if args.plan is None or not arguments.is_spec(args.plan):
        before = review.load(arguments.plan_at(args.plan)[1].parent)
        return before.lock if before else None
    if args.settings or Reference.read(args.plan).revision is not None:
        return None
    return review.lock_at(base / lock_file(args.plan).name)


# ---------------------------------------------------------------- for people


def show(found: Forecast, *, everything: bool) -> None:
    """The tasks that would run and why, what they take together, and the sum in one line."""
    width = console().width
    shown = [one for one in found.outlooks if everything or one.runs]
    if shown:
        print_table(*task_table(shown, found.estimates, width))
        if common := one_reason(shown):
            print(f"\nwhy: {common}, all of them")
        print()
    if found.runs:
        print("in all, of what would run")
        print_table(("", ""), total_rows(found), indent=2)
        print()
    print(sentence(found, width))


Column = tuple[str, Callable[["Estimate"], str]]


def one_reason(shown: Sequence[Outlook]) -> str:
    """Why all of several tasks have to run, where one reason holds for each; it is told once and not in each row."""
    from ocspec.cli.because import because

    reasons = {because(one) for one in shown}
    return reasons.pop() if len(reasons) == 1 and len(shown) > 1 else ""


def task_table(
    shown: Sequence[Outlook], estimates: dict[str, Estimate], width: int
) -> tuple[tuple[str, ...], Iterable[tuple[str, ...]]]:
    """Headers and rows: how long a task takes; more of what it takes where there is room; why, if not alike."""
    from ocspec.cli.because import because

    gpus = any(estimates[one.task.id].gpu_hours.high for one in shown if one.runs)
    columns: list[Column] = [(">time", lambda e: amounts.amount(e.seconds, amounts.SECONDS))]
    if width >= WIDE:
        columns += [
            (">GPU time", lambda e: amounts.amount(e.gpu_hours, amounts.HOURS))
            if gpus
            else (">CPU time", lambda e: amounts.amount(e.cpu_hours, amounts.HOURS)),
            (">writes", lambda e: amounts.amount(e.bytes_written, amounts.BYTES)),
        ]
    if width >= WIDEST:
        columns += [
            (">tokens", lambda e: amounts.amount(e.tokens, amounts.COUNT)),
            (">memory", lambda e: amounts.amount(e.memory_mb, amounts.MIB)),
        ]

    each = not one_reason(shown)

    def cells(one: Outlook) -> tuple[str, ...]:
        taken = [text(estimates[one.task.id]) if one.runs else "" for _, text in columns]
        return (one_line(one.task.id), one.action, *taken, *([because(one)] if each else []))

    return ("task", "action", *(name for name, _ in columns), *(["why"] if each else [])), map(cells, shown)


def total_rows(found: Forecast) -> list[tuple[str, str]]:
    """What all tasks that would run take together; tokens are those trained on.

    Where nothing bounds what some of them take, what the others take is told as well.
    """
    import attrs

    rows = amounts.estimate_rows(attrs.evolve(found.total, tokens=found.trained, seconds=found.wall))
    return [("tokens trained on" if name == "tokens" else name, f"{text}{_others(name, found)}") for name, text in rows]


def _others(name: str, found: Forecast) -> str:
    """` (90-150 h without 3 tasks that nothing bounds)`, where that says something."""
    if name not in ADDING_UP:
        return ""
    field, units = ADDING_UP[name]
    tasks, rest = found.unbounded(lambda one: getattr(one, field))
    if not tasks or not rest.high or len(tasks) == len(found.counted):
        return ""
    text = amounts.amount(rest, units) if units else amounts.scientific(rest)
    return f" ({text} without {plural(len(tasks), 'task')} that nothing bounds)"


def sentence(found: Forecast, width: int) -> str:
    """`Plan: 9 reuse, 3 rebuild, 2 new - 41.2 B tokens, 118 GPU-h (90-150), 2.1 TB written`, or two lines of it."""
    counts = ", ".join(f"{count} {action}" for action, count in found.counts.items() if count)
    first = f"Plan: {counts or plural(0, 'task')}"
    if not found.runs:
        return f"{first} - nothing to run"
    one = found.total
    hours = (one.gpu_hours, amounts.GPU_HOURS) if one.gpu_hours.high else (one.cpu_hours, amounts.CPU_HOURS)
    parts = [f"{amounts.middle(found.trained, amounts.COUNT)} tokens"] if found.trained.high else []
    parts += [amounts.middle(*hours), f"{amounts.middle(one.bytes_written, amounts.BYTES)} written"]
    second = ", ".join(parts)
    line = f"{first} - {second}"
    return line if len(line) <= width else f"{first}\n      {second}"


# ---------------------------------------------------------------- for programs


def facts(plan: Plan, found: Forecast, limits: Sequence[Budget]) -> dict[str, Any]:
    """All of it as plain data."""
    return {
        "experiment": plan.experiment,
        "delta": overrides.delta_facts(plan.delta),
        "counts": found.counts,
        "total": {**estimate_facts(found.total), "wall_seconds": amounts.plain(found.wall)},
        "trained_tokens": amounts.plain(found.trained),
        "budgets": [
            {
                "name": limit.kind.name,
                "limit": limit.limit,
                **amounts.plain(limit.kind.total(found)),
                "exceeded": limit.exceeded(found),
            }
            for limit in limits
        ],
        "not_counted": list(found.refused),
        "tasks": [outlook_facts(one, found.estimates[one.task.id]) for one in found.outlooks],
    }


def outlook_facts(one: Outlook, estimate: Estimate) -> dict[str, Any]:
    """One task: what becomes of it, why, and what it takes where it is run."""
    return {
        "id": one.task.id,
        "action": one.action,
        "reason": reason_facts(one),
        "waits_for": list(one.waits_for),
        "shard_seconds": one.task.resources.seconds,
        "estimate": estimate_facts(estimate),
    }


def reason_facts(one: Outlook) -> dict[str, Any]:
    """Why, with every change behind it, the earliest first."""
    causes = [
        {"task": cause.task, "changes": [{"path": p, "before": b, "after": a} for p, b, a in cause.changes]}
        for cause in one.reason.causes
    ]
    return {"code": one.reason.code, "key": one.reason.key, "causes": causes}


def estimate_facts(estimate: Estimate) -> dict[str, Any]:
    """Intervals by name; `high` is null where nothing bounds it."""
    import attrs

    return {name: amounts.plain(value) for name, value in attrs.asdict(estimate, recurse=False).items()}
