"""ocspec check: what the rules find in specs, all of it, without a plan. Writes nothing."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ocspec.cli import arguments, exits, overrides
from ocspec.cli.output import plural, print_json, print_table

if TYPE_CHECKING:
    from compiler.findings import Finding, Severities
    from compiler.profile import Profile
    from ocspec.experiment import Experiment

COUNTED = ("error", "warning")


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `check`."""
    parser = arguments.add_verb(
        subparsers,
        "check",
        run,
        "list what the rules find in specs",
        "Exits 3 where a rule refuses one. `ocspec explain CODE` teaches a rule; [rules]\n"
        "in ocspec.toml makes it an error, a warning, or off.",
    )
    parser.add_argument(
        "specs",
        metavar="SPEC",
        nargs="*",
        help="spec file, which is all experiments that it defines, or FILE:NAME; a sweep is all its arms",
    )
    overrides.add_set(parser)
    parser.add_argument(
        "--list", action="store_true", help="the catalogue of rules, with the severities that hold here"
    )
    arguments.add_profile(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Check each spec, or list the rules."""
    from ocspec.cli import checking

    if args.list:
        return catalogue(args, checking.severities())
    if not args.specs:
        args.parser.error("check takes a SPEC, or --list")
    profile, severities = arguments.profile_called(args.profile), checking.severities()
    checked = [found for spec in args.specs for found in check_spec(spec, severities, profile, args.settings)]
    counts = {kind: sum(f.severity == kind for *_, findings in checked for f in findings) for kind in COUNTED}
    if args.json:
        specs = [
            {"spec": spec, "experiment": name, "findings": [facts(finding) for finding in findings]}
            for spec, name, findings in checked
        ]
        print_json("check", specs=specs, errors=counts["error"], warnings=counts["warning"], **_changed(severities))
    else:
        for spec, name, findings in checked:
            show(spec, name, findings)
    return exits.CHECK if counts["error"] else exits.OK


def check_spec(
    reference: str, severities: Severities, profile: Profile | None = None, settings: Sequence[str] = ()
) -> Iterator[tuple[str, str, list[Finding]]]:
    """Every experiment of a spec: its reference and name, and what is found in it, where it stands from here.

    A spec that cannot be loaded has no name, and findings without a code.
    """
    from compiler.errors import UserError, UserErrors
    from compiler.findings import Finding
    from compiler.load import load_every
    from compiler.overrides import override

    try:
        plain, base = load_every(reference)
        experiments = [(name, override(one, settings)) for name, one in plain]
    except UserError as error:
        problems = error.problems if isinstance(error, UserErrors) else [error]
        fields = [{"what": one.what, "where": one.where, "fix": one.fix} for one in problems]
        yield reference, "", [Finding(code="", name="language", severity="error", **one) for one in fields]
        return
    for name, experiment in experiments:
        found = findings_of(experiment, base, severities, profile)
        yield name, experiment.name, [_from_here(finding, base) for finding in found]


def findings_of(
    experiment: Experiment, base: Path, severities: Severities, profile: Profile | None = None
) -> list[Finding]:
    """What all rules find in an experiment."""
    from compiler.draft import Draft
    from compiler.passes.resolve import resolve
    from compiler.rules import check_all

    draft = Draft(
        experiment=experiment,
        base=base.resolve(),
        shards=experiment.shards,
        severities=severities,
        profile=profile,
    )
    return check_all(resolve(draft))


def _from_here(finding: Finding, base: Path) -> Finding:
    """A finding whose file is named from the working directory and not from the spec's."""
    import attrs

    file, colon, line = finding.where.rpartition(":")
    if not colon:
        return finding
    return attrs.evolve(finding, where=f"{os.path.relpath(base / file)}:{line}")


def show(spec: str, name: str, findings: list[Finding]) -> None:
    """A heading, and each finding as `FILE:LINE: SEVERITY CODE NAME: what` with its fix below."""
    counts = [plural(sum(f.severity == kind for f in findings), kind) for kind in COUNTED]
    print(f"{spec}{f' ({name})' if name else ''}: {', '.join(counts)}")
    for finding in sorted(findings, key=lambda finding: COUNTED.index(finding.severity)):
        where = f"{finding.where}: " if finding.where else ""
        rule = f" {finding.code} {finding.name}" if finding.code else ""
        print(f"  {where}{finding.severity}{rule}: {finding.what}")
        if finding.fix:
            print(f"    fix: {finding.fix}")


def facts(finding: Finding) -> dict[str, Any]:
    """A finding as plain data."""
    import attrs

    return attrs.asdict(finding)


def _changed(severities: Severities) -> dict[str, Any]:
    import attrs

    return {"changed": [attrs.asdict(change) for change in severities.changes]}


def catalogue(args: Namespace, severities: Severities) -> int:
    """All rules: code, severity here, name, and why each exists."""
    from compiler.rules import RULES

    rows = [(rule.code, severities.of(rule.code, rule.severity), rule.name, rule.why) for rule in RULES]
    if args.json:
        names = ("code", "severity", "name", "why")
        rules = [
            {**dict(zip(names, row, strict=True)), "default": r.severity} for row, r in zip(rows, RULES, strict=True)
        ]
        print_json("rules", rules=rules, **_changed(severities))
    else:
        print_table(("code", "severity", "name", "why"), rows)
    return exits.OK
