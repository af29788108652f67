"""What several verbs take alike: a plan, a store, a profile, --json. No verb is implemented here."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.errors import UserError

if TYPE_CHECKING:
    from compiler.plan import Plan, Task
    from compiler.profile import Profile
    from runtime.store import Store

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

BUILD = Path("build")
"""Where `compile` writes, relative to the working directory."""


def add_verb(
    subparsers: Subparsers,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    *paragraphs: str,
) -> argparse.ArgumentParser:
    """A parser for a verb whose code is `run`."""
    parser = subparsers.add_parser(
        name,
        help=summary,
        description="\n\n".join([f"{summary[0].upper()}{summary[1:]}.", *paragraphs]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_group(subparsers: Subparsers, name: str, summary: str) -> Subparsers:
    """A verb that is only a name before others, as `data` in `data show`: what its verbs are added to."""
    parser = subparsers.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
    )
    parser.set_defaults(parser=parser)
    return parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=type(parser))


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="print JSON with a format_version")


def add_plan(parser: argparse.ArgumentParser) -> None:
    """A plan to work on; without one, the last compiled."""
    parser.add_argument(
        "plan", nargs="?", metavar="PLAN", help="plan.json or its directory (default: the last compiled)"
    )


def add_store(parser: argparse.ArgumentParser) -> None:
    """--store."""
    parser.add_argument("--store", metavar="DIR", help="directory of artefacts (default: $OCSPEC_STORE, else .ocspec)")


def add_compile(parser: argparse.ArgumentParser) -> None:
    """What compiling takes: the spec, where to write, shards, whether to rehearse."""
    from ocspec.cli import overrides

    parser.add_argument(
        "spec", metavar="SPEC", help="spec file, or FILE:NAME where it defines several; FILE@REVISION for one in git"
    )
    overrides.add_set(parser)
    parser.add_argument("--out", metavar="DIR", help="directory of the plan (default: build/EXPERIMENT)")
    add_shards(parser)
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="a rehearsal: the training alone, shrunk, on made-up data (EXPERIMENT-smoke)",
    )


def add_shards(parser: argparse.ArgumentParser) -> None:
    """--shards."""
    parser.add_argument("--shards", metavar="N", type=positive, help="shards of data tasks (default: the spec's)")


def add_profile(parser: argparse.ArgumentParser) -> None:
    """--profile."""
    parser.add_argument(
        "--profile",
        metavar="NAME",
        help="machine to run on, from ocspec.toml (default: its profile=, else local)",
    )


def add_calibration(parser: argparse.ArgumentParser) -> None:
    """--no-calibration."""
    parser.add_argument(
        "--no-calibration", action="store_true", help="estimate without what past runs in the store took"
    )


def positive(text: str) -> int:
    """A whole number above zero, as an argument's type."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


positive.__name__ = "positive number"  # argparse names the type in its message


def store_path(path: str | None) -> Path:
    """Where the store is that is asked for, or the default one; nothing need be there, or anything."""
    return Path(path or os.environ.get("OCSPEC_STORE") or ".ocspec").resolve()


def store_at(path: str | None) -> Store:
    """The store that is asked for, or the default one; it need not be there, but a UserError where it cannot be."""
    from runtime.store import Store

    whole = store_path(path)
    there = next(place for place in (whole, *whole.parents) if os.path.exists(place))
    if not there.is_dir():
        given, fix = path, "give another --store"
        if not path and (given := os.environ.get("OCSPEC_STORE")):
            fix = "set OCSPEC_STORE to a directory, or give --store"
        what = f"a store is a directory, and {os.path.relpath(there)} is none"
        raise UserError(what, where=given or ".ocspec", fix=fix)
    return Store(whole)


def profile_called(name: str | None) -> Profile:
    """The profile that is asked for, or the default one of the nearest settings file."""
    from compiler.profile import default_profile, load_profile

    here = Path.cwd()
    return load_profile(name or default_profile(here), here)


def is_spec(reference: str) -> bool:
    """Whether a command-line reference is a spec rather than a plan.

    >>> is_spec("specs/a.py"), is_spec("specs/a.py:small"), is_spec("build/a"), is_spec("build/a/plan.json")
    (True, True, False, False)
    >>> is_spec("specs/a.py@HEAD~1"), is_spec("specs/a.py:small@v1"), is_spec("build/a@v1")
    (True, True, False)
    """
    return re.search(r"\.py(:[^:@]*)?(@.*)?$", reference) is not None


def plan_at(reference: str | None) -> tuple[Plan, Path]:
    """A compiled plan and the path of its plan.json; without a reference, the last compiled."""
    from compiler import plan, write

    if reference and is_spec(reference):
        fix = f"run `ocspec compile {reference}` first, or `ocspec run {reference}`"
        raise UserError("this is a spec, not a plan", where=reference, fix=fix)
    path = Path(reference) if reference else write.latest(BUILD)
    file = path / plan.PLAN_FILE if path.is_dir() else path
    return plan.load(file), file


def task_called(plan: Plan, name: str) -> Task:
    """The task of that id; a UserError with the nearest ids where there is none."""
    import difflib

    ids = [task.id for task in plan.tasks]
    if name in ids:
        return plan.task(name)
    near = [i for i in ids if name in i] or difflib.get_close_matches(name, ids, n=3)
    fix = f"did you mean {' or '.join(near[:3])}?" if near else "see `ocspec status` for all"
    raise UserError(f"no task is called {name!r} in the plan of {plan.experiment!r}", fix=fix)
