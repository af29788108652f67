"""Test sets on the way into a plan: by the digest of their files, in any order, and refused where they are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from compiler import ir
from compiler.errors import UserErrors
from compiler.plan import Plan

HEAD = "experiment = small(data=(code(Decontaminate(benchmarks=({})),),))\n"


def operator(plan: Plan) -> ir.Decontaminate:
    op = plan.task("code/decontaminate").op
    assert isinstance(op, ir.Decontaminate)
    return op


def test_fields_and_digest_enter_the_plan_and_the_path_does_not_count(
    workplace: Path, compiled: Callable[[str], Plan]
) -> None:
    """Another path with the same bytes is the same task; other bytes are another."""
    first = compiled(HEAD.format('TestSet.mbpp("items.jsonl"),'))
    (benchmark,) = operator(first).benchmarks
    assert (benchmark.name, benchmark.location, benchmark.first) == ("mbpp", "items.jsonl", 11)
    assert benchmark.digest.startswith("bytes:")
    (workplace / "sets").mkdir()
    (workplace / "items.jsonl").rename(workplace / "sets" / "items.jsonl")
    moved = compiled(HEAD.format('TestSet.mbpp("sets/items.jsonl"),'))
    fingerprints = [plan.task("code/decontaminate").fingerprint for plan in (first, moved)]
    (workplace / "sets" / "items.jsonl").write_text('{"task_id": 12, "text": "say", "code": "x", "test_list": []}\n')
    changed = compiled(HEAD.format('TestSet.mbpp("sets/items.jsonl"),'))
    assert fingerprints[0] == fingerprints[1] != changed.task("code/decontaminate").fingerprint


def test_the_order_of_test_sets_and_phrases_means_nothing(compiled: Callable[[str], Plan]) -> None:
    one, other = 'TestSet.mbpp("items.jsonl")', 'TestSet.humaneval("items.jsonl")'
    first = compiled(HEAD.format(f'{one}, {other}), stop_phrases=("a", "b"'))
    second = compiled(HEAD.format(f'{other}, {one}), stop_phrases=("b", "a", "b"'))
    assert operator(first) == operator(second)
    assert first.task("code/decontaminate").fingerprint == second.task("code/decontaminate").fingerprint


def test_a_test_set_that_is_not_there(compiled: Callable[[str], Plan]) -> None:
    """Refused at its line, once for all steps that name it; a declared one may be absent."""
    text = """
absent = TestSet.mbpp("none/*.jsonl")
clean = Decontaminate(benchmarks=(absent,))
experiment = small(data=(code(clean),), decontaminate_instructions=clean)
"""
    with pytest.raises(UserErrors) as error:
        compiled(text)
    (problem,) = error.value.problems
    assert problem.where == "spec.py:3"
    assert "test-set/mbpp" in problem.what and "no files found" in problem.what
    declared = compiled(text.replace('jsonl")', 'jsonl", declared=Declared(revision="v1"))'))
    assert operator(declared).benchmarks[0].digest == "declared:test-set/mbpp@v1"


def test_a_variable_that_is_not_set(compiled: Callable[[str], Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_SETS", raising=False)
    with pytest.raises(UserErrors, match="the environment does not set TEST_SETS"):
        compiled(HEAD.format('TestSet.mbpp("${TEST_SETS}/mbpp.jsonl"),'))
