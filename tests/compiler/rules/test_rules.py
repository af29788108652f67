"""Each compile-time rule on specs that break it and on specs that just don't: the exact message, or `compiles`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from compiler.compile import draft_of
from compiler.draft import Draft
from compiler.errors import UserErrors
from compiler.findings import Change, CheckError, Finding, Severities
from compiler.load import load_spec
from compiler.passes.resolve import resolve
from compiler.plan import Plan
from compiler.profile import Profile
from compiler.rules import RULES
from compiler.rules.base import Rule
from ocspec import Experiment
from tests.compiler.conftest import FIXTURES, ROOT, read_cases

CASES = "rules"


@pytest.fixture
def drafted(workplace: Path, experiment_of: Callable[[str], Experiment]) -> Callable[..., Draft]:
    """The finished draft of a spec text, under some severities."""

    def run(text: str, *changes: Change) -> Draft:
        return draft_of(experiment_of(text), workplace, severities=Severities(changes), profile=_profile(text))

    return run


def _profile(text: str) -> Profile | None:
    """The Slurm cluster of a line `# profile: KEY=VALUE ...`, where a case has one."""
    line = re.search(r"^# profile: (.+)$", text, re.MULTILINE)
    if line is None:
        return None
    given = {key: int(value) if value.isdigit() else value for key, value in re.findall(r"(\w+)=(\w+)", line[1])}
    return Profile(name="cluster", dispatch="slurm", **given)


def test_rule(case, drafted: Callable[..., Draft]) -> None:
    """Code, numbers, file:line and fix. Warnings of other rules are none of a case's business, errors are."""
    warnings: tuple[Finding, ...]
    try:
        warnings, verdict = drafted(case.given).warnings, "compiles\n"
    except CheckError as error:
        warnings, verdict = error.warnings, f"{error}\n"
    assert set(re.findall(r"\[(OC\d+)\]", verdict)) <= {case.file.stem.upper()}
    own = [finding for finding in warnings if finding.code == case.file.stem.upper()]
    case.check("".join(f"warning: {finding}\n" for finding in own) + verdict)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_each_rule_is_named_by_its_code_and_has_cases_of_both_kinds(rule) -> None:
    """A rule that is not shown to fail and to pass is not tested."""
    text = (FIXTURES / CASES / f"{rule.code.lower()}.txt").read_text()
    start = "warning: " if rule.severity == "warning" else ""
    assert re.search(rf"----\n(.+\n)*{start}.*\[{rule.code}\]\n  fix: ", text)
    assert "----\ncompiles\n" in text
    assert rule.why.endswith(".")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_each_rule_teaches_in_a_few_sentences_and_says_where_that_is_written(rule) -> None:
    sentences = re.findall(r"[.?!](?=[\s\"])", rule.teach)
    assert 2 <= len(sentences) <= 9
    assert all(len(line) <= 120 for line in rule.teach.splitlines())
    source = r"#\d+|issue|arXiv|section|appendix|table \d|opc_data_filtering|house rule|specs/|guide|measured"
    assert re.search(source, " ".join(rule.teach.split())), rule.code


@pytest.mark.parametrize("rule", [rule for rule in RULES if not rule.fixed], ids=lambda rule: rule.code)
@pytest.mark.parametrize("setting", ["off", "warning"])
def test_what_a_rule_refuses_compiles_where_the_rule_does_not_refuse_it(rule, setting, drafted) -> None:
    """Only rules that say `fixed` are needed for a plan to be made."""
    failing = [c for c in read_cases(CASES) if c.file.stem == rule.code.lower() and f"[{rule.code}]" in c.expected]
    draft = drafted(failing[0].given, Change(rule.code, rule.severity, setting, ""))
    found = [finding for finding in draft.warnings if finding.code == rule.code]
    assert draft.tasks and bool(found) == (setting == "warning")


def test_codes_are_consecutive() -> None:
    """OC001, OC002 ..., each once, in the order in which they run."""
    assert [rule.code for rule in RULES] == [f"OC{number:03}" for number in range(1, len(RULES) + 1)]
    assert len({rule.name for rule in RULES}) == len(RULES)


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


def test_a_warning_can_be_made_an_error_and_an_error_a_warning(drafted: Callable[..., Draft]) -> None:
    """What refuses is the severity that holds."""
    uneven = "experiment = small(pretrain(micro_batch=3))\n"
    draft = drafted(uneven, Change("OC006", "error", "warning", ""))
    assert ("OC006", "warning") in {(finding.code, finding.severity) for finding in draft.warnings}
    tilted = "parts = Part(dataset='code', weight=1), Part(dataset='more', weight=100_000)\n"
    tilted += "stage = pretrain(mixture=Mixture(parts=parts), batches=(Batches(steps=9, global_batch=32_768,"
    tilted += " sequence_length=64),))\nexperiment = small(stage, data=(code(), code(name='more')))\n"
    with pytest.raises(CheckError, match="OC019"):
        drafted(tilted, Change("OC019", "warning", "error", ""), Change("OC003", "error", "off", ""))


@pytest.mark.parametrize("file", ["opencoder_8b.py", "opencoder_1_5b.py", "opencoder_mini.py"])
def test_experiments_that_ship_break_no_rule(file: str) -> None:
    """Warnings are for what is true of them."""
    experiment, base = load_spec(str(ROOT / "specs" / file))
    assert draft_of(experiment, base).tasks


def test_each_rule_takes_less_than_50_ms_of_a_processor_on_the_8b() -> None:
    """The best of three: the first may load what it needs. Figures are those of benchmarks/rules.py."""
    experiment, base = load_spec(str(ROOT / "specs" / "opencoder_8b.py"))
    draft = resolve(Draft(experiment=experiment, base=base.resolve(), shards=None))
    slow = {}
    for rule in RULES:
        seconds = min(_processor_seconds(rule, draft) for _ in range(3))
        if seconds > 0.05:
            slow[rule.code] = seconds
    assert slow == {}


def _processor_seconds(rule: Rule, draft: Draft) -> float:
    start = time.process_time()
    list(rule.check(draft))
    return time.process_time() - start
