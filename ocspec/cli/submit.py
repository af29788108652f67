"""ocspec submit: run a compiled plan, exactly as compiled, and follow it to the end.

On this machine or on SLURM, as the profile says. What is finished is kept whatever happens: submit again to
go on. What runs is never compiled anew here.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.errors import UserError
from ocspec.cli import arguments, exits
from ocspec.cli.output import duration, plural, print_json, say, say_errors, short_path

if TYPE_CHECKING:
    from compiler.plan import Plan
    from ocspec.cli.progress import Tracker
    from runtime.run import Summary

WHERE = {"local": "on this machine", "inline": "in this process", "slurm": "on SLURM"}


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `submit`."""
    parser = arguments.add_verb(
        subparsers,
        "submit",
        run,
        "run a compiled plan, on this machine or on SLURM",
        "Only what is missing or changed runs. Ctrl-C stops; what is finished is kept.",
    )
    arguments.add_plan(parser)
    add_options(parser)


def add_options(parser: ArgumentParser) -> None:
    """What running takes."""
    arguments.add_store(parser)
    arguments.add_profile(parser)
    parser.add_argument("--inline", action="store_true", help="run in this process, one shard after another")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Run the plan and sum up."""
    plan, file = arguments.plan_at(args.plan)
    summary = submit(plan, file, args)
    if args.json:
        print_json("submit", **facts(plan, summary))
    else:
        print(sentence(summary))
    return status(summary)


def status(summary: Summary) -> int:
    """The exit code that a run deserves."""
    return exits.ERROR if summary.failed or summary.cancelled else exits.OK


def submit(plan: Plan, file: Path, args: Namespace) -> Summary:
    """Run what is missing and follow it; says on stderr what failed.

    Raises UserErrors for a plan that cannot run, KeyboardInterrupt with a message after a clean stop.
    """
    import attrs

    from ocspec.cli.dispatchers import dispatcher
    from ocspec.cli.progress import Tracker, follow
    from runtime.journal import Journal
    from runtime.run import refuse, run_plan, to_run

    file = file.resolve()
    store, profile = arguments.store_at(args.store), arguments.profile_called(args.profile)
    if args.inline:
        profile = attrs.evolve(profile, dispatch="inline")
    refuse(plan, base_of(file), store)
    journal = Journal(file.parent / "journal")
    missing = len(to_run(plan, store))
    say(f"{plan.experiment}: {missing} of {plural(len(plan.tasks), 'task')} to run {WHERE[profile.dispatch]}")
    tracker = Tracker(plan, file.parent, missing)
    try:
        with follow(tracker) as on_event:
            summary = run_plan(plan, store, dispatcher(plan, file, store, profile, journal), journal, on_event)
    except KeyboardInterrupt:
        finished = len(plan.tasks) - len(to_run(plan, store))
        raise KeyboardInterrupt(
            f"stopped; {plural(finished, 'task')} {'is' if finished == 1 else 'are'} finished and kept; "
            "run `ocspec submit` again to go on"
        ) from None
    say_errors(*failures(tracker, file))
    return summary


def base_of(file: Path) -> Path:
    """The directory that the spec's relative paths start at, as `compile` noted it."""
    try:
        return Path((file.parent / "base").read_text().strip())
    except OSError:
        raise UserError(
            "the file `base` that `compile` wrote beside it is gone",
            where=str(file),
            fix="compile the spec again",
        ) from None


def failures(tracker: Tracker, file: Path) -> list[str]:
    """What failed, with its message and its log."""
    from ocspec.cli.dispatchers import log_files
    from ocspec.cli.progress import message

    found = []
    for (task_id, shard), detail in tracker.failures.items():
        shards = tracker.plan.task(task_id).shards
        name = f"{task_id}, shard {shard + 1} of {shards}" if shards > 1 else task_id
        logs = [log for log in log_files(file, task_id) if log.stat().st_mtime >= tracker.began - 1]
        logs = [log for log in logs if log.stem == str(shard)] or logs[-1:]
        where = "".join(f"\n  log: {short_path(str(log))}" for log in logs if "log: " not in detail)
        found.append(f"{name}: {message(task_id, detail)}{where}")
    return found


def facts(plan: Plan, summary: Summary) -> dict[str, object]:
    """A run as plain data."""
    import attrs

    return {"experiment": plan.experiment, **attrs.asdict(summary)}


def sentence(summary: Summary) -> str:
    """`12 ran, 3 reused, 1 cut off, 0 failed in 41.2 s`."""
    counts = {
        "ran": summary.ran,
        "reused": summary.reused,
        "cut off": summary.cut_off,
        "failed": summary.failed,
        "not started": summary.cancelled,
    }
    parts = [f"{len(ids)} {what}" for what, ids in counts.items() if ids or what != "not started"]
    return f"{', '.join(parts)} in {duration(summary.seconds)}"
