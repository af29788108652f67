"""ocspec cancel: end every job of a plan that waits or runs on Slurm, whoever submitted it. Keeps what is finished."""

from __future__ import annotations

from argparse import Namespace

from ocspec.cli import arguments, exits
from ocspec.cli.output import one_line, plural, print_json, say


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `cancel`."""
    parser = arguments.add_verb(
        subparsers,
        "cancel",
        run,
        "cancel all jobs of a plan on SLURM",
        "From any machine that has Slurm's programs; waits until they are out of the\n"
        "queue. What is finished is kept, and `ocspec submit` goes on with the rest. A\n"
        "run on this machine ends with Ctrl-C where it was started.",
    )
    arguments.add_plan(parser)
    arguments.add_store(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Cancel and say how many jobs that were."""
    from ocspec.cli.on_slurm import run_of
    from ocspec.cli.states import is_on_slurm

    plan, file = arguments.plan_at(args.plan)
    submitted = is_on_slurm(file.resolve().parent)
    jobs = run_of(plan, file, args).cancel() if submitted else 0
    if args.json:
        print_json("cancel", experiment=plan.experiment, jobs=jobs)
    elif jobs:
        print(f"{one_line(plan.experiment)}: {plural(jobs, 'job')} cancelled; what is finished is kept")
    else:
        print(f"{one_line(plan.experiment)}: no job is queued or running")
    if not submitted:
        say("this plan was never submitted to SLURM; a run on this machine ends with Ctrl-C where it was started")
    return exits.OK
