"""`submit` on Slurm: queue a plan and leave, or queue it and follow it. What is queued goes on without this process."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compiler.errors import UserError, UserErrors
from ocspec.cli import exits
from ocspec.cli.output import one_line, plural, print_json, say

if TYPE_CHECKING:
    from compiler.plan import Plan
    from ocspec.cli.progress import Tracker
    from runtime.dispatch.slurm.run import SlurmRun, Submitted
    from runtime.run import Summary

NEXT = "next: `ocspec status` shows where it stands, `ocspec cancel` ends it,\n"
NEXT += "      `ocspec logs TASK --follow` shows what a task says;\n"
NEXT += "      what is queued needs no process here"
STAYS = "stopped; what is queued stays: `ocspec submit` again goes on, `ocspec cancel` ends it"
GOES_ON = "stopped waiting; the jobs go on: `ocspec status` shows where they stand, `ocspec cancel` ends them"
SHOWN = 4


def queue(run: SlurmRun) -> Submitted:
    """Queue what is missing. UserErrors for all that Slurm could not run, KeyboardInterrupt with what stays."""
    from runtime.lease import LeaseHeld

    try:
        if problems := run.check():
            raise UserErrors(problems)
        return run.submit()
    except LeaseHeld as error:
        raise UserError(
            f"another submit of this plan is going on: {error.holder}",
            where=str(run.run_dir),
            fix="wait until it is done; `ocspec status` shows what it queued",
        ) from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt(STAYS) from None


def submit(run: SlurmRun, args: Namespace) -> int:
    """Queue what is missing, say what that is, and return."""
    from runtime.run import to_run

    missing = len(to_run(run.plan, run.store))
    made = queue(run) if missing else None
    if args.json:
        print_json("submit", **facts(run, made, missing))
        return exits.OK
    for line in sentences(run.plan, made, missing):
        print(line, flush=True)
    if made and (made.submissions or made.live):
        say(NEXT)
    return exits.OK


def sentences(plan: Plan, made: Submitted | None, missing: int) -> list[str]:
    """What a submit did; `missing` tasks had no result before."""
    name, done = one_line(plan.experiment), len(plan.tasks) - missing
    if made is None:
        return [f"{name}: nothing to do; all {plural(len(plan.tasks), 'task')} are finished"]
    before = [f"{plural(done, 'task')} {_were(done)} finished before"] if done else []
    if made.live:
        before.append(f"{plural(made.live, 'shard')} {_were(made.live)} queued or running already")
    jobs = sum(len(one.elements) for one in made.submissions)
    queued = f"{plural(len(made.tasks), 'task')} queued as {plural(jobs, 'job')}" if jobs else "nothing new to queue"
    lines = [f"{name}: {'; '.join([queued, *before])}"]
    if made.blocked:
        named = ", ".join(map(one_line, made.blocked[:SHOWN]))
        more = f" and {len(made.blocked) - SHOWN} more" if len(made.blocked) > SHOWN else ""
        lines.append(f"not queued, because a task before failed: {named}{more}")
    return lines


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def facts(run: SlurmRun, made: Submitted | None, missing: int) -> dict[str, Any]:
    """A submit as plain data."""
    from runtime.dispatch.slurm import ledger

    jobs = ledger.job_ids(run.ledger.journal.read())
    return {
        "experiment": run.plan.experiment,
        "finished_tasks": len(run.plan.tasks) - missing,
        "live_shards": made.live if made else 0,
        "blocked": list(made.blocked) if made else [],
        "submissions": [
            {"id": one.id, "task": one.task, "job": jobs.get(one.id), "elements": one.elements}
            for one in (made.submissions if made else ())
        ],
    }


def submit_and_follow(run: SlurmRun, tracker: Tracker) -> Summary:
    """Queue what is missing and follow it to the end; KeyboardInterrupt says that the jobs go on."""
    from ocspec.cli.follow import Follower, finished_before, summary
    from ocspec.cli.progress import follow
    from runtime.run import to_run

    began = time.time()
    wanted = {task.id for task in to_run(run.plan, run.store)}
    done = finished_before(run.plan, run.store)
    made = queue(run) if wanted else None
    for line in sentences(run.plan, made, len(wanted)):
        say(line)
    if made is None:
        return summary(run, wanted, (), began)
    try:
        with follow(tracker) as show:
            follower = Follower(run, tracker, show)
            follower.skip(done, wanted)
            states = follower.to_the_end()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(GOES_ON) from None
    return summary(run, wanted, states, began)


def dry_run(run: SlurmRun, args: Namespace) -> int:
    """Print the batch scripts that a submit would hand to sbatch now; queue nothing."""
    previews = run.preview()
    if args.json:
        scripts = [{"task": p.task, "elements": p.elements, "script": p.script} for p in previews]
        print_json("submit", experiment=run.plan.experiment, dry_run=True, scripts=scripts)
        return exits.OK
    for preview in previews:
        shards = sum(map(len, preview.elements))
        print(f"==> {one_line(preview.task)}: {plural(shards, 'shard')} in {plural(len(preview.elements), 'job')} <==")
        print(preview.script)
    say(f"{one_line(run.plan.experiment)}: {plural(len(previews), 'batch script')}; nothing is queued")
    return exits.OK


def run_of(plan: Plan, file: Path, args: Namespace) -> SlurmRun:
    """The run of a plan that was submitted, with the profile that was kept then."""
    from compiler.profile import Profile
    from ocspec.cli.arguments import store_at
    from ocspec.cli.dispatchers import slurm_run
    from runtime.dispatch.slurm.kept_profile import read_profile

    run_dir = file.resolve().parent
    try:
        profile = read_profile(run_dir)
    except UserError:  # only who submits needs the profile
        profile = Profile(dispatch="slurm")
    return slurm_run(plan, file, store_at(args.store), profile)
