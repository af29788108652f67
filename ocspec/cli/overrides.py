"""--set and --sweep: the only options that reach a spec, and how what they changed is shown. Used by several verbs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compiler.errors import UserError
from ocspec.cli.output import plural, say

if TYPE_CHECKING:
    from compiler.memo import Memo
    from compiler.plan import Delta, Plan
    from compiler.profile import Profile
    from ocspec.experiment import Experiment

MOST_SHOWN = 8
MOST_ARMS = 10_000
"""Of one command. Each is a plan in a directory of its own, and names that many nobody reads."""
MANY_ARMS = 200
"""As many as take more than a few seconds, so that people want to know what they wait for."""


def add_set(parser: argparse.ArgumentParser) -> None:
    """--set."""
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change a value of the spec, as `pretrain.schedule.peak=3e-4`; can be repeated",
    )


def add_sweep(parser: argparse.ArgumentParser) -> None:
    """--sweep."""
    parser.add_argument(
        "--sweep",
        dest="sweeps",
        action="append",
        default=[],
        metavar="PATH=VALUE,...",
        help="one arm for each value, as `pretrain.schedule.peak=1e-4,3e-4`; several make a grid",
    )


def compiled(
    reference: str,
    settings: Sequence[str] = (),
    shards: int | None = None,
    *,
    profile: Profile | None = None,
    quiet: bool = False,
) -> tuple[Plan, Path]:
    """The plan of a spec with some values set, which it keeps as its delta; and where relative paths start.

    Raises UserErrors with all that is wrong. Warnings of rules go to stderr unless `quiet`.
    """
    from compiler.load import load_spec

    plain, base = load_spec(reference)
    return with_delta(plain, settings, base, shards, profile=profile, quiet=quiet), base


def with_delta(
    plain: Experiment,
    settings: Sequence[str],
    base: Path,
    shards: int | None = None,
    *,
    profile: Profile | None = None,
    quiet: bool = False,
) -> Plan:
    """The plan of an experiment with some values set."""
    from compiler.overrides import override

    return of_arm(plain, override(plain, settings), base, shards, profile=profile, quiet=quiet)


def of_arm(
    plain: Experiment,
    arm: Experiment,
    base: Path,
    shards: int | None = None,
    *,
    named: str | None = None,
    profile: Profile | None = None,
    quiet: bool = False,
    said: set[str] | None = None,
    memo: Memo | None = None,
) -> Plan:
    """The plan of what was made of an experiment from outside; it keeps the delta between the two.

    `named` is the arm's name without what a sweep adds; warnings that are `said` already are not said again.
    """
    import attrs

    from compiler.overrides import delta
    from ocspec.cli import checking

    plan = checking.compiled(arm, base, shards, profile=profile, quiet=quiet, said=said, memo=memo)
    return attrs.evolve(plan, delta=delta(plain, arm, named)) if arm is not plain else plan


def refuse_of_plan(reference: str | None, settings: Sequence[str]) -> None:
    """A UserError for settings of what is no spec: a plan is what it is."""
    if settings:
        where = reference or "the last compiled"
        raise UserError("this is a plan, of which nothing can be set", where=where, fix="give the spec")


def count_arms(sweeps: Sequence[str], where: str, experiments: int = 1) -> None:
    """Say how many arms there will be where they are many. A UserError for more than a command takes; none is made."""
    from compiler.overrides import sizes

    counts = sizes(sweeps)
    number = experiments * prod(size for _, size in counts)
    if number < MANY_ARMS:
        return
    factors = [plural(experiments, "experiment")] if experiments > 1 else []
    factors += [f"{size:,} {'' if index else 'values '}of {path}" for index, (path, size) in enumerate(counts)]
    made_of = " x ".join(factors)
    if number <= MOST_ARMS:
        say(f"{number:,} arms: {made_of}")
        return
    what = f"{number:,} arms ({made_of}) are more than the {MOST_ARMS:,} that one command takes"
    fix = "sweep fewer values, or fewer places at once and the others later, with --set for what is found best"
    raise UserError(what, where=where, fix=fix if sweeps else "give the experiments several names, as FILE:NAME")


# ---------------------------------------------------------------- how it looks


def delta_lines(deltas: Sequence[Delta]) -> Iterator[str]:
    """`set curriculum.stages.pretrain.schedule.peak: 0.001 -> 0.0003`, one line each; many are counted."""
    for one in deltas[:MOST_SHOWN]:
        yield f"set {one.path}: {text(one.before)} -> {text(one.after)}"
    if len(deltas) > MOST_SHOWN:
        yield f"and {len(deltas) - MOST_SHOWN} more are set; plan.json has all"


def near(deltas: Sequence[Delta], spec_paths: Sequence[str]) -> list[Delta]:
    """What was set at, below or above places in the spec, such as those that a task came from."""
    return [
        one
        for one in deltas
        if any(f"{one.path}.".startswith(f"{path}.") or f"{path}.".startswith(f"{one.path}.") for path in spec_paths)
    ]


def delta_facts(deltas: Sequence[Delta]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [{"path": one.path, "before": one.before, "after": one.after} for one in deltas]


def text(value: Any) -> str:
    """A plain value as a line of a diff shows it.

    >>> text({"kind": "WSD", "peak": 0.001, "note": ""}), text(None)
    ('WSD(peak=0.001)', 'null')
    """
    if isinstance(value, dict) and "kind" in value:
        given = [f"{k}={text(v)}" for k, v in value.items() if k != "kind" and v not in (None, "", [], {})]
        return f"{value['kind']}({', '.join(given)})"
    return json.dumps(value, ensure_ascii=False)
