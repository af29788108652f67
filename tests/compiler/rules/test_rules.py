"""Each compile-time rule on specs that break it and on specs that just don't: the exact message, or `compiles`."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from compiler.errors import UserErrors
from compiler.plan import Plan
from compiler.rules import RULES

CASES = "rules"


def test_rule(case, compiled: Callable[[str], Plan]) -> None:
    """Code, numbers, file:line and fix."""
    try:
        compiled(case.given)
        found = "compiles\n"
    except UserErrors as error:
        found = f"{error}\n"
    codes = set(re.findall(r"\[(OC\d+)\]", found))
    assert codes <= {case.file.stem.upper()}
    case.check(found)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_each_rule_is_named_by_its_code_and_has_cases_of_both_kinds(rule, pytestconfig) -> None:
    """A rule that is not shown to fail and to pass is not tested."""
    folder = pytestconfig.rootpath / "tests" / "fixtures" / "compiler" / "rules"
    text = (folder / f"{rule.code.lower()}.txt").read_text()
    assert f"[{rule.code}]\n  fix: " in text
    assert "----\ncompiles\n" in text
    assert rule.why.endswith(".")


def test_codes_are_consecutive() -> None:
    """OC001, OC002 ..., each once, in the order in which they run."""
    assert [rule.code for rule in RULES] == [f"OC{number:03}" for number in range(1, len(RULES) + 1)]


def test_all_problems_of_all_rules_are_listed(compiled: Callable[[str], Plan]) -> None:
    """One compile tells everything."""
    text = """
stage = pretrain(mixture=mix("kode"), micro_batch=3)
long = pretrain(name="long", batches=(Batches(steps=5, global_batch=4, sequence_length=256),))
experiment = small(stage, long, evaluations=(BitsPerByte(),), hold_out=None)
"""
    with pytest.raises(UserErrors) as error:
        compiled(text)
    codes = [re.search(r"\[(OC\d+)\]$", problem.what) for problem in error.value.problems]
    assert [code and code[1] for code in codes] == ["OC001", "OC005", "OC006", "OC008"]
    assert all(problem.where and problem.fix for problem in error.value.problems)


def test_sources_that_cannot_be_found_are_all_listed(compiled: Callable[[str], Plan]) -> None:
    """Each at its line, relative to the spec."""
    text = """
one = JsonLines(name="one", path="missing.jsonl")
two = Directory(name="two", path="nowhere")
three = Instructions(name="three", path="${NO_SUCH_VARIABLE}/x.parquet")
experiment = small(data=(code(sources=(one, two)),), instructions=(three,))
"""
    with pytest.raises(UserErrors) as error:
        compiled(text)
    assert [problem.where for problem in error.value.problems] == ["spec.py:3", "spec.py:4", "spec.py:5"]
