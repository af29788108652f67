"""Every default rule on documents that it keeps and that it drops, near the threshold where that can be written.

The documents are tests/fixtures/rules/RULE.txt. What stands before the first header says what they show. A header
is `--- passes (LANGUAGE, KEY=VALUE, ...)` or `--- fails (...)`, and the text runs up to the next one. Keys, none of
which is needed: `value`, that of the rule's signal, by hand; `path`, the file's name; `repeat`, how often the text
comes, with `@n@` in it for the number of the repetition.

`passes`: the rule judges documents of this language, the signal has a value, and the rule does not fire. `fails`: it
fires. Other rules may fire too, and no rule's probability is looked at.
"""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

from compiler.quality_rules import DEFAULT_RULES
from runtime.data.languages import doc_type, known_languages
from runtime.data.signals import SignalValues

FOLDER = Path(__file__).parents[2] / "fixtures" / "rules"
RULES = {rule.name: rule for rule in DEFAULT_RULES}
HEADER = re.compile(r"^--- (passes|fails) \(([^)]*)\)\n", re.MULTILINE)


@attrs.frozen(kw_only=True)
class Case:
    """One document for one rule."""

    rule: str
    fires: bool
    language: str
    text: str
    value: float | None
    path: str


def read(path: Path) -> list[Case]:
    """The cases of a file."""
    _, *parts = HEADER.split(path.read_text(encoding="utf-8"))
    cases = []
    for kind, header, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        language, *pairs = header.split(", ")
        keys = dict(pair.split("=", 1) for pair in pairs)
        repeated = "".join(text.replace("@n@", str(n)) for n in range(int(keys.pop("repeat", "1"))))
        value = keys.pop("value", None)
        case = Case(
            rule=path.stem,
            fires=kind == "fails",
            language=language,
            text=repeated,
            value=None if value is None else float(value),
            path=keys.pop("path", ""),
        )
        assert not keys, f"{path.name}: unknown keys {sorted(keys)}"
        cases.append(case)
    return cases


FILES = sorted(FOLDER.glob("*.txt"))
CASES = [case for path in FILES if path.stem in RULES for case in read(path)]


def test_every_rule_has_documents_of_both_kinds():
    """A rule without a failing document could be dead, as two of the published ones are."""
    shown = {(case.rule, case.fires) for case in CASES}
    assert shown == {(name, fires) for name in RULES for fires in (True, False)}
    assert [path.stem for path in FILES if path.stem not in RULES] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{'fails' if case.fires else 'passes'}")
def test_a_rule_drops_what_it_is_for_and_keeps_its_near_relative(case):
    """The rule judges the document, the value is the one worked out by hand, and the verdict is as written."""
    rule = RULES[case.rule]
    assert case.language in known_languages()
    kind = doc_type(case.language)
    values = SignalValues(case.text, case.language, kind, case.path)
    assert rule.applies(case.language, kind, values.natural_language)
    value = values[rule.signal]
    assert value is not None
    if case.value is not None:
        assert value == pytest.approx(case.value, abs=1e-6)
    assert rule.fires(value) is case.fires
