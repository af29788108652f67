"""Several plans at once: the arms of a sweep, or a spec's tuple of experiments, compiled one after another.

Each arm is a plan of its own below its own name. What arms have in common is in all of these plans under the same
fingerprints, so the store builds it once; queries, training configs and scripts stand beside the first plan that runs
a task in the same way.
"""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.errors import UserError
from ocspec.cli import arguments, exits, overrides
from ocspec.cli.output import one_line, plural, print_json, print_table, say, short_path

if TYPE_CHECKING:
    from compiler.plan import Plan, Task
    from compiler.profile import Profile
    from ocspec.experiment import Experiment

MOST_SHOWN = 40


def compile_arms(args: Namespace, experiments: Sequence[Experiment], base: Path) -> int:
    """Compile and write every arm, and show how much of it is shared."""
    from ocspec.cli.compile import facts, write

    profile = arguments.profile_called(args.profile)
    seen: dict[str, Task] = {}
    tasks, rows, found = 0, [], []
    for made in plans(args, experiments, base, profile):
        out = Path(args.out) / made.experiment if args.out else None
        plan, file = write(args, made, base, profile, out, seen)
        own = {task.fingerprint: task for task in plan.tasks}
        tasks += len(plan.tasks)
        rows.append(
            (one_line(plan.experiment), str(len(plan.tasks)), str(len(own.keys() - seen.keys())), short_path(str(file)))
        )
        seen = own | seen
        if args.json:
            found.append({**facts(plan), "plan": str(file)})
    if args.json:
        print_json("compile", arms=found)
        return exits.OK
    print_table(("arm", ">tasks", ">not in those above", "plan"), rows[:MOST_SHOWN])
    if len(rows) > MOST_SHOWN:
        print(f"and {len(rows) - MOST_SHOWN:,} more")
    print(f"\n{plural(len(rows), 'arm')}, {plural(tasks, 'task')}, of which {len(seen):,} are different")
    if len(seen) < tasks:
        say("queries, training configs and scripts of a task are beside the first of these plans that runs it so")
    say("next: `ocspec submit PLAN` for each arm; what they share is built once")
    return exits.OK


def plans(args: Namespace, experiments: Sequence[Experiment], base: Path, profile: Profile) -> Iterator[Plan]:
    """The plan of every arm, in order, each checked for the profile; what several are warned of is said once.

    Raises UserErrors for too many, for two of one name, and for what is wrong with settings.
    """
    from compiler.interning import Interned
    from compiler.memo import Memo
    from compiler.overrides import arms, override

    overrides.count_arms(args.sweeps, args.spec, len(experiments))
    pairs = [(one, override(one, args.settings)) for one in experiments]
    made = [
        (plain, set_.name, arm)
        for plain, set_ in pairs
        for arm in (arms(plain, args.sweeps, args.settings) if args.sweeps else (set_,))
    ]
    names = Counter(arm.name for _, _, arm in made)
    twice = sorted(name for name, count in names.items() if count > 1)
    if twice:
        what = f"several experiments are called {', '.join(twice[:3])}"
        raise UserError(what, where=args.spec, fix="give each a name of its own: plans are known by it")
    memo, interned = Memo(), Interned()  # what arms share is worked out once
    said: set[str] = set()
    for plain, named, arm in made:
        neighbour = interned.spec(arm)
        yield overrides.of_arm(plain, neighbour, base, args.shards, named=named, profile=profile, said=said, memo=memo)
