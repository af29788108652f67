"""`ocspec explain OC014`: what a rule is about, what it has cost whom, a spec on either side of it. No verb itself."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from compiler.errors import UserError
from ocspec.cli import exits
from ocspec.cli.output import print_json

if TYPE_CHECKING:
    from compiler.rules.base import Rule

CODE = re.compile(r"oc\d+", re.IGNORECASE)
WIDTH = 100


class Examples(TypedDict):
    """Two specs and what is said of the first: the fixtures that the rule's own test runs."""

    failing: str
    found: str
    passing: str


def is_code(name: str) -> bool:
    """Whether a name is a rule's and not a task's.

    >>> is_code("OC014"), is_code("oc14"), is_code("code/sign")
    (True, True, False)
    """
    return CODE.fullmatch(name) is not None


def run(args: Namespace) -> int:
    """Print one rule; `args.task` is its code."""
    from compiler.rules.settings import load_severities

    rule = rule_called(args.task)
    setting = load_severities(Path.cwd()).of(rule.code, rule.severity)
    if args.json:
        about = {"code": rule.code, "name": rule.name, "severity": setting, "default": rule.severity, "why": rule.why}
        print_json("rule", **about, teach=" ".join(rule.teach.split()), examples=examples(rule))
    else:
        print(text(rule, setting))
    return exits.OK


def rule_called(code: str) -> Rule:
    """The rule of a code; leading zeros may be left out."""
    from compiler.rules import RULES

    number = int(code[2:])
    if not 1 <= number <= len(RULES):
        fix = f"the last is {RULES[-1].code}; `ocspec check --list` shows all"
        raise UserError(f"no rule is called {code.upper()}", fix=fix)
    return RULES[number - 1]


def text(rule: Rule, setting: str) -> str:
    """The rule for people: 100 columns or what the terminal has."""
    import shutil
    import textwrap

    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
    here = "" if setting == rule.severity else f", {setting} here"
    shown = examples(rule)
    parts = [
        f"{rule.code} {rule.name}: {rule.severity}{here}",
        textwrap.fill(rule.why, width),
        textwrap.fill(" ".join(rule.teach.split()), width),
        f"breaks it:\n{textwrap.indent(shown['failing'], '    ')}",
        f"is found as:\n{textwrap.indent(shown['found'], '    ')}",
        f"keeps it:\n{textwrap.indent(shown['passing'], '    ')}",
    ]
    return "\n\n".join(part.rstrip() for part in parts)


def examples(rule: Rule) -> Examples:
    """One spec that breaks a rule and one that keeps it, in the words of tests/fixtures/compiler/small.py."""
    found: Examples = _all()[rule.code]
    return found


@cache
def _all() -> dict[str, Examples]:
    """compiler/rules/examples.json, which `make docs` writes from the fixtures."""
    loaded: dict[str, Examples] = json.loads(files("compiler.rules").joinpath("examples.json").read_text("utf-8"))
    return loaded
