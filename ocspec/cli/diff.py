"""ocspec diff: what differs between two specs or plans, which tasks that touches, why, and what it costs.

The comparison itself is `compiler.diff`, its cost `compiler.diff_cost`, how it looks `diff_view`. A side that is a spec
is compiled for this, and not written.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.errors import UserError
from ocspec.cli import arguments, exits, overrides
from ocspec.cli.output import print_json, say_warnings

if TYPE_CHECKING:
    from compiler.cost.calibration import Calibration
    from compiler.plan import Plan
    from ocspec.cli.diff_view import Comparison
    from ocspec.experiment import Experiment


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `diff`."""
    parser = arguments.add_verb(
        subparsers,
        "diff",
        run,
        "show what differs between two specs, what that touches, and what it costs",
        "A side is a spec, FILE:NAME, either of them at a git revision (FILE@HEAD~1),\n"
        "plan.json or its directory, or the name of an experiment below build/.",
        "--set and --sweep are of the side after; without B they are of A.",
    )
    parser.add_argument("a", metavar="A", help="the side before")
    parser.add_argument("b", metavar="B", nargs="?", help="the side after (default: A with what --set or --sweep say)")
    overrides.add_set(parser)
    overrides.add_sweep(parser)
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="GLOB",
        help="leave out changes at such places, as `stages.*.note`; can be repeated",
    )
    parser.add_argument("--all", action="store_true", help="every change and every task on a line of its own")
    parser.add_argument(
        "--as-function", metavar="NAME", help="print a Python function that makes the one experiment of the other"
    )
    arguments.add_profile(parser)
    arguments.add_store(parser)
    arguments.add_calibration(parser)
    parser.add_argument("--exit-code", action="store_true", help="exit with 2 when they differ")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Compare and print."""
    from ocspec.cli import diff_view

    _refuse_nonsense(args)
    if args.as_function:
        return as_function(args)
    found = list(comparisons(args))
    _warn_of_unfit(args.ignore, found)
    if args.json and not args.sweeps:
        print_json("diff", **diff_view.facts(found[0]))
    elif args.json:
        print_json("diff", arms=[diff_view.facts(one) for one in found])
    elif args.sweeps:
        diff_view.show_arms(found)
    else:
        diff_view.show(found[0], everything=args.all)
    differs = any(one.diff.differs for one in found)
    return exits.DIFFERS if args.exit_code and differs else exits.OK


def comparisons(args: Namespace) -> Iterator[Comparison]:
    """The two sides compared, or the one with every arm of the other."""
    from compiler.diff import diff_plans
    from compiler.diff_cost import diff_cost
    from ocspec.cli.diff_view import Comparison

    overrides.count_arms(args.sweeps, args.b or args.a)
    profile = arguments.profile_called(args.profile)
    before = side(args.a)
    for after in _after(args):
        diff = diff_plans(before, after).without(args.ignore)
        cost = diff_cost(diff, after, profile, _past(args, after))
        yield Comparison(before=before, after=after, diff=diff, cost=cost)


def _warn_of_unfit(patterns: Sequence[str], found: Sequence[Comparison]) -> None:
    """Say which patterns of --ignore fit neither a change nor a place at which there could be one."""
    from compiler.diff import fits, places
    from ocspec.editing import hint

    changed = [change.path for one in found for change in (*one.diff.changes, *one.diff.ignored)]
    unused = [one for one in dict.fromkeys(patterns) if not any(fits(one, path) for path in changed)]
    if not unused:
        return
    specs = [found[0].before.spec, *(one.after.spec for one in found)]
    known = list(dict.fromkeys(parts for spec in specs for parts in places(spec)))
    for pattern in unused:
        if not any(fits(pattern, ".".join(parts)) for parts in known):
            what = "fits no place of either side, and leaves nothing out"
            say_warnings(UserError(what, where=f"--ignore {pattern}", fix=hint(known, pattern)))


def _past(args: Namespace, plan: Plan) -> Calibration:
    from compiler.cost.calibration import PRIORS
    from runtime.calibration import calibration

    return PRIORS if args.no_calibration else calibration(arguments.store_at(args.store), plan)


def _after(args: Namespace) -> Iterator[Plan]:
    """The side after, or its arms."""
    reference = args.b or args.a
    if not args.settings and not args.sweeps:
        yield side(reference)
        return
    from compiler.interning import Interned
    from compiler.load import load_spec
    from compiler.memo import Memo
    from compiler.overrides import arms, override

    if not arguments.is_spec(reference):
        overrides.refuse_of_plan(reference, (*args.settings, *args.sweeps))
    plain, base = load_spec(reference)
    set_ = override(plain, args.settings)
    memo, interned = Memo(), Interned()  # what arms share is worked out once
    for arm in arms(plain, args.sweeps, args.settings) if args.sweeps else (set_,):
        yield overrides.of_arm(plain, interned.spec(arm), base, named=set_.name, quiet=True, memo=memo)


def side(reference: str) -> Plan:
    """The plan of a side: compiled here, or read."""
    if arguments.is_spec(reference):
        return overrides.compiled(reference, quiet=True)[0]
    return arguments.plan_at(_built(reference))[0]


def _built(reference: str) -> str:
    """A path, or the directory of an experiment that was compiled here."""
    named = arguments.BUILD / reference
    return str(named) if not Path(reference).exists() and named.is_dir() else reference


def _refuse_nonsense(args: Namespace) -> None:
    if args.b is None and not args.settings and not args.sweeps:
        fix = f"give another side, or --set; `ocspec diff {args.a}@HEAD {args.a}` shows what is not committed"
        raise UserError("there is nothing to compare it with", where=args.a, fix=fix)
    costs = {"--profile": args.profile, "--store": args.store, "--no-calibration": args.no_calibration}
    looks = {"--json": args.json, "--ignore": args.ignore, "--all": args.all}
    idle = [option for option, given in {"--sweep": args.sweeps, **looks, **costs}.items() if given]
    if args.as_function and idle:
        what = "--as-function prints one function, with every change and no costs"
        raise UserError(what, fix=f"leave out {', '.join(idle)}")


# ---------------------------------------------------------------- as a function


def as_function(args: Namespace) -> int:
    """Print the difference as Python. The sides need not compile: their data may be elsewhere."""
    from compiler import apply
    from compiler.overrides import override

    reference = args.b or args.a
    if not arguments.is_spec(reference):
        overrides.refuse_of_plan(reference, args.settings)
    before = experiment(args.a)
    after = override(experiment(reference), args.settings)
    print(apply.as_function(args.as_function, before, after), end="")
    return exits.DIFFERS if args.exit_code and before != after else exits.OK


def experiment(reference: str) -> Experiment:
    """The experiment of a side: as the spec defines it, or as a plan describes it."""
    from compiler.described import experiment_of
    from compiler.load import load_spec

    if arguments.is_spec(reference):
        return load_spec(reference)[0]
    return experiment_of(arguments.plan_at(_built(reference))[0].spec)
