"""Severities out of a settings file: table `rules` of `ocspec.toml`, or `[tool.ocspec.rules]` of pyproject.toml.

    [rules]
    OC021 = "error"
    OC029 = "off"

The file is the one that profiles are looked up in. Not where a severity takes effect: that is `base.Rule.check`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from compiler.errors import UserError, UserErrors
from compiler.findings import Change, Setting, Severities
from compiler.profile import place_of, settings_table
from compiler.rules import RULES

SETTINGS: tuple[Setting, ...] = get_args(Setting)


def load_severities(start: Path) -> Severities:
    """What the nearest settings file from `start` upward says of rules.

    Raises UserErrors that name every unknown code and severity, and every rule that cannot be lowered.
    """
    file, table = settings_table(start)
    given = table.get("rules", {})
    if file is None or not given:
        return Severities()
    if not isinstance(given, dict):
        raise UserError(f"rules is {given!r}, not a table", where=str(file), fix="write [rules] and codes below it")
    wrong = [problem for code, value in given.items() for problem in _wrong(code, value, _where(file, code))]
    if wrong:
        raise UserErrors(wrong)
    defaults = {rule.code: rule.severity for rule in RULES}
    return Severities(
        tuple(
            Change(code, defaults[code], value, _where(file, code))
            for code, value in sorted(given.items())
            if value != defaults[code]
        )
    )


def _wrong(code: str, value: Any, where: str) -> Iterator[UserError]:
    rule = next((rule for rule in RULES if rule.code == code), None)
    if rule is None:
        yield UserError(f"no rule is called {code!r}", where=where, fix=_meant(code))
    elif value not in SETTINGS:
        close = difflib.get_close_matches(str(value), SETTINGS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"write one of {', '.join(SETTINGS)}"
        yield UserError(f"the severity of {code} is {value!r}", where=where, fix=hint)
    elif rule.fixed and value != "error":
        yield UserError(
            f"{code} ({rule.name}) can only be an error: a spec that breaks it has no plan",
            where=where,
            fix="take the line out",
        )


def _meant(code: str) -> str:
    """The rule of that number or of that name."""
    number = re.fullmatch(r"OC0*(\d+)", code.upper())
    named = f"OC{int(number[1]):03}" if number else code.lower().replace("_", " ").replace("-", " ")
    close = [rule.code for rule in RULES if named in {rule.code, rule.name.replace("-", " ")}]
    return f"did you mean {close[0]}?" if close else "`ocspec check --list` shows all rules"


def _where(file: Path, code: str) -> str:
    """file:line of a rule's entry; the file alone where the line cannot be told."""
    return place_of(file, rf"""["']?{re.escape(code)}["']?\s*=""")
