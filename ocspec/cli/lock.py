"""ocspec lock: write what experiments resolve to beside their specs, or check that what is written still holds.

What a lock says is `compiler.locking`, how differences look `lock_differences`. Plans are not written, nothing runs.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.errors import UserError, UserErrors
from ocspec.cli import arguments, exits
from ocspec.cli.output import console, plural, print_json, say, short_path

if TYPE_CHECKING:
    from ocspec.cli.lock_differences import Lock
    from ocspec.experiment import Experiment

    Target = tuple[str, Experiment, Path]


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `lock`."""
    parser = arguments.add_verb(
        subparsers,
        "lock",
        run,
        "write what experiments resolve to, or check it; run nothing",
        "A lock is SPEC.lock beside the spec, SPEC.NAME.lock for one of several: every\n"
        "field with its default, digests of sources, versions of operators, and a\n"
        "fingerprint for each task, one `path = value` a line. Commit it: a change of\n"
        "an experiment is then a change of lines that can be reviewed.",
        "A file stands for all experiments that it defines. With --check nothing is\n"
        "written; the exit code is 3 where a lock is missing or says something else.",
    )
    parser.add_argument("spec", nargs="+", metavar="SPEC", help="spec files, or FILE:NAME for one experiment of a file")
    parser.add_argument("--check", action="store_true", help="compare and write nothing; exit with 3 on a difference")
    parser.add_argument("--out", metavar="DIR", help="directory of the locks (default: beside each spec)")
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Lock or check every experiment; problems are listed at the end, those of all."""
    from ocspec.cli.lock_differences import facts, lines

    problems: list[UserError] = []
    locks = []
    for lock in _locks(args, problems):
        if not args.check:
            lock.write()
        if not args.json and not (args.check and lock.state == "unchanged"):
            print("\n".join(lines(lock, _said(lock, args), console().width)))
        locks.append(lock)
    if args.json:
        print_json("lock", check=args.check, locks=[facts(lock) for lock in locks])
    if problems:
        raise UserErrors(problems)
    return _checked(locks, args) if args.check else exits.OK


def _said(lock: Lock, args: Namespace) -> str:
    if lock.state == "left over":
        return f"left over, {lock.reference} defines no such experiment"
    done = {"missing": "written", "changed": "written anew", "unchanged": "unchanged"}
    return {"changed": "is not what the spec says"}.get(lock.state, lock.state) if args.check else done[lock.state]


def _checked(locks: Sequence[Lock], args: Namespace) -> int:
    """Sum up a check, and say what to do about what was found."""
    wrong = [lock for lock in locks if lock.state != "unchanged"]
    if not args.json:
        print(f"{plural(len(locks), 'lock')}, {len(wrong) or 'none'} not as the specs say")
    if not wrong:
        return exits.OK
    specs = " ".join(dict.fromkeys(lock.asked for lock in wrong if lock.after))
    gone = " ".join(short_path(str(lock.file)) for lock in wrong if not lock.after)
    out = f" --out {args.out}" if args.out else ""
    todo = [f"run `ocspec lock{out} {specs}`"] * bool(specs) + [f"delete {gone}"] * bool(gone)
    say(f"fix: if that is meant, {' and '.join(todo)}, and commit that with the change")
    return exits.CHECK


def _locks(args: Namespace, problems: list[UserError]) -> Iterator[Lock]:
    """The lock of every experiment as it is and as it should be; what goes wrong is added to `problems`."""
    from ocspec.cli.lock_differences import compare, left_over

    directory = Path(args.out) if args.out else None
    taken: dict[Path, str] = {}
    for reference in dict.fromkeys(args.spec):
        try:
            found = targets(reference)
            if not found:
                _pass_over(reference, args)
            for target in found:
                lock = compare(reference, *target, directory)
                if (other := taken.setdefault(lock.file, lock.reference)) != lock.reference:
                    fix = "lock them into different directories, or rename one"
                    raise UserError(f"would have the lock of {other}, {lock.file}", where=lock.reference, fix=fix)
                yield lock
            if found and reference.endswith(".py"):
                yield from left_over(reference, [target[0] for target in found], directory)
        except UserErrors as errors:
            problems.extend(errors.problems)
        except UserError as error:
            problems.append(error)


def targets(reference: str) -> list[Target]:
    """(FILE or FILE:NAME, experiment, base) for one name, or for all that a file defines."""
    from compiler.load import Reference, load_all, load_spec

    named = Reference.read(reference)
    if named.revision is not None:
        fix = "check the revision out, and lock the file"
        raise UserError("a lock is of the file as it is, not of a revision", where=reference, fix=fix)
    if named.name:
        return [(reference, *load_spec(reference))]
    found, base = load_all(reference)
    return [(name, experiment, base) for name, experiment in found]


def _pass_over(reference: str, args: Namespace) -> None:
    """A module that specs share has no lock: `specs/*.py` may name it, but it cannot be all that is asked for."""
    if len(args.spec) == 1:
        fix = "define experiment = Experiment(...); arms in a tuple have no locks, but what they start from may have"
        raise UserError("the file defines no experiment by name", where=reference, fix=fix)
    say(f"{reference}: defines no experiment by name, so it has no lock")
