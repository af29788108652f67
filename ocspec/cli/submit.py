"""ocspec submit: run a compiled plan, exactly as compiled, on this machine or on SLURM, as the profile says.

On this machine it stays until the run has ended; on SLURM it queues everything and leaves, unless it is to wait. What
is finished is kept whatever happens: submit again to go on. What runs is never compiled anew here.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.errors import UserError, UserErrors
from ocspec.cli import arguments, exits
from ocspec.cli.output import duration, one_line, plural, print_json, print_table, say, say_errors, short_path

if TYPE_CHECKING:
    from compiler.plan import Plan
    from compiler.profile import Profile
    from ocspec.cli.progress import Tracker
    from runtime.dispatch.base import Dispatcher
    from runtime.run import Summary
    from runtime.store import Store

MOST_NAMED = 4
WHERE = {"local": "on this machine", "inline": "in this process", "slurm": "on SLURM"}


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `submit`."""
    parser = arguments.add_verb(
        subparsers,
        "submit",
        run,
        "run a compiled plan, on this machine or on SLURM",
        "Only what is missing or changed runs. On this machine Ctrl-C stops it; what is\n"
        "finished is kept. On SLURM it returns when all is queued; see `ocspec status`.",
        "A plan that `ocspec plan --out` wrote is run as it was reviewed, or refused\n"
        "where its sources, the store, the lock or the plan itself moved since.",
    )
    arguments.add_plan(parser)
    add_options(parser)
    parser.add_argument("--wait", action="store_true", help="on SLURM: follow the run to its end; Ctrl-C only leaves")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would run, on SLURM the batch scripts; start nothing"
    )


def add_options(parser: ArgumentParser) -> None:
    """What running takes."""
    arguments.add_store(parser)
    arguments.add_profile(parser)
    parser.add_argument("--inline", action="store_true", help="run in this process, one shard after another")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Run the plan, or queue it, and sum up."""
    plan, file = arguments.plan_at(args.plan)
    profile = profile_of(args)
    hold_to_review(plan, file.resolve(), args)
    if args.dry_run:
        return dry_run(plan, file, args, profile)
    if profile.dispatch == "slurm" and not args.wait:
        from ocspec.cli import on_slurm
        from ocspec.cli.dispatchers import slurm_run

        store = arguments.store_at(args.store)
        refuse(plan, file.resolve(), store)
        return on_slurm.submit(slurm_run(plan, file, store, profile), args)
    summary = submit(plan, file, args)
    if args.json:
        print_json("submit", **facts(plan, summary))
    else:
        print(sentence(summary))
    return status(summary)


def status(summary: Summary) -> int:
    """The exit code that a run deserves."""
    return exits.ERROR if summary.failed or summary.cancelled else exits.OK


def profile_of(args: Namespace) -> Profile:
    """The profile that is asked for; --inline replaces what it says of where to run."""
    import attrs

    profile = arguments.profile_called(args.profile)
    return attrs.evolve(profile, dispatch="inline") if args.inline else profile


def hold_to_review(plan: Plan, file: Path, args: Namespace) -> None:
    """Raise UserErrors for a reviewed plan of which something moved since; say what was built since: no harm."""
    from runtime import review

    reviewed = review.load(file.parent)
    if reviewed is None:
        return
    store = arguments.store_at(args.store)
    if problems := review.moved(reviewed, plan, file, base_of(file), store):
        raise UserErrors(problems)
    if built := review.here_already(reviewed, plan, store):
        tasks = f"{plural(len(built), 'task')} that {'was' if len(built) == 1 else 'were'} to run"
        say(f"{tasks} when the plan was reviewed, built since: {few(built)}")


def few(names: Sequence[str]) -> str:
    """The first few of many."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(map(one_line, names[:MOST_NAMED]))}{more}"


def refuse(plan: Plan, file: Path, store: Store) -> None:
    """Raise UserErrors for a plan that cannot run."""
    from runtime import run

    run.refuse(plan, base_of(file), store)


def dry_run(plan: Plan, file: Path, args: Namespace, profile: Profile) -> int:
    """Show what would run, and start nothing."""
    from ocspec.cli import on_slurm
    from ocspec.cli.dispatchers import slurm_run, workers_here
    from runtime.run import to_run

    store = arguments.store_at(args.store)
    refuse(plan, file.resolve(), store)
    if profile.dispatch == "slurm":
        return on_slurm.dry_run(slurm_run(plan, file, store, profile), args)
    workers_here(plan, store, profile)
    missing = to_run(plan, store)
    if args.json:
        tasks = [{"task": task.id, "shards": task.shards} for task in missing]
        print_json("submit", experiment=plan.experiment, dry_run=True, tasks=tasks)
        return exits.OK
    if missing:
        asked = [(task, task.resources) for task in missing]
        rows = [
            (one_line(task.id), str(task.shards), str(a.cpus), str(a.memory_mb), str(a.gpus or "")) for task, a in asked
        ]
        print_table(("task", ">shards", ">CPUs", ">MB", ">GPUs"), rows)
        print()
    print(f"{would_run(plan, len(missing), profile)}; nothing is started")
    return exits.OK


def would_run(plan: Plan, missing: int, profile: Profile) -> str:
    """`tiny: 3 of 14 tasks to run on this machine`."""
    tasks = plural(len(plan.tasks), "task")
    return f"{one_line(plan.experiment)}: {missing} of {tasks} to run {WHERE[profile.dispatch]}"


def submit(plan: Plan, file: Path, args: Namespace) -> Summary:
    """Run what is missing and follow it to the end; says on stderr what failed.

    Raises UserErrors for a plan that cannot run, KeyboardInterrupt with what stays and how to go on.
    """
    from ocspec.cli import on_slurm
    from ocspec.cli.dispatchers import dispatcher, slurm_run, workers_here
    from ocspec.cli.progress import Tracker
    from runtime.run import to_run

    file = file.resolve()
    store, profile = arguments.store_at(args.store), profile_of(args)
    refuse(plan, file, store)
    workers = {} if profile.dispatch == "slurm" else workers_here(plan, store, profile)
    missing = len(to_run(plan, store))
    say(would_run(plan, missing, profile))
    tracker = Tracker(plan, file.parent, missing)
    if profile.dispatch == "slurm":
        summary = on_slurm.submit_and_follow(slurm_run(plan, file, store, profile), tracker)
    else:
        summary = _run_here(plan, file, store, tracker, dispatcher(file, store, profile, workers))
    say_errors(*failures(tracker, file))
    return summary


def _run_here(plan: Plan, file: Path, store: Store, tracker: Tracker, dispatcher: Dispatcher) -> Summary:
    from ocspec.cli.progress import follow
    from runtime.journal import Journal
    from runtime.run import run_plan, to_run

    try:
        with follow(tracker) as on_event:
            return run_plan(plan, store, dispatcher, Journal(file.parent / "journal"), on_event)
    except KeyboardInterrupt:
        finished = len(plan.tasks) - len(to_run(plan, store))
        raise KeyboardInterrupt(
            f"stopped; {plural(finished, 'task')} {'is' if finished == 1 else 'are'} finished and kept; "
            "run `ocspec submit` again to go on"
        ) from None


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
    from ocspec.cli.dispatchers import Logs
    from ocspec.cli.progress import message

    if not tracker.failures:
        return []
    known, found = Logs.read(file), []
    for (task_id, shard), detail in tracker.failures.items():
        shards = tracker.plan.task(task_id).shards
        name = f"{task_id}, shard {shard + 1} of {shards}" if shards > 1 else task_id
        logs = [log for log in known.of(task_id, shard) if log.exists()]
        logs = [log for log in logs if log.stat().st_mtime >= tracker.began - 1][-1:]
        where = "".join(f"\n  log: {one_line(short_path(str(log)))}" for log in logs if "log: " not in detail)
        found.append(f"{one_line(name)}: {message(task_id, detail)}{where}")
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
