"""Rules on the command line: whose severity the settings change, and what was found. `check` is the verb."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ocspec.cli.output import say, say_warnings

if TYPE_CHECKING:
    from compiler.findings import Finding, Severities
    from compiler.memo import Memo
    from compiler.plan import Plan
    from compiler.profile import Profile
    from ocspec.experiment import Experiment

T = TypeVar("T")


def severities(*, announce: bool = True, said: set[str] | None = None) -> Severities:
    """What the nearest settings file says of rules, with a line on stderr for each change that is not `said`."""
    from compiler.rules.settings import load_severities

    found = load_severities(Path.cwd())
    for change in _unsaid(found.changes, said) if announce else ():
        say(str(change))
    return found


def compiled(
    experiment: Experiment,
    base: Path,
    shards: int | None = None,
    *,
    profile: Profile | None = None,
    quiet: bool = False,
    said: set[str] | None = None,
    memo: Memo | None = None,
) -> Plan:
    """The plan of an experiment under the settings' severities; warnings go to stderr unless `quiet`.

    With the `memo` of a neighbour only what differs is worked out (`compiler.compile`). What is `said` of neighbours is
    not said again; the set takes what is. Raises CheckError where a rule refuses it.
    """
    from compiler.compile import draft_of, plan_from
    from compiler.findings import CheckError

    held = severities(announce=memo is None or not quiet, said=said)
    try:
        draft = draft_of(experiment, base, shards, severities=held, profile=profile, memo=memo)
    except CheckError as refused:
        warn(() if quiet else _unsaid(refused.warnings, said))
        raise
    warn(() if quiet else _unsaid(draft.warnings, said))
    return plan_from(draft)


def _unsaid(notes: Iterable[T], said: set[str] | None) -> list[T]:
    """Those of the notes that are not among what is said, which they join."""
    known = set() if said is None else said
    new = [note for note in notes if str(note) not in known]
    known.update(map(str, new))
    return new


def warn(findings: Iterable[Finding]) -> None:
    """Each as `warning: file:line: what [CODE]` and its fix, on stderr."""
    say_warnings(*findings)
