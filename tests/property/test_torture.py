"""Fingerprints under torture: no mutation that means the same moves one, every mutation that means another does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import attrs
import pytest

from compiler import ir
from compiler.canonical import fingerprint, task_preimage
from compiler.plan import Task
from ocspec.base import SpecWarning
from ocspec.experiment import Experiment
from ocspec.training import Guard
from scripts import make_torture_reference as reference
from tests.property import operators, specs, torture
from tests.property.hosts import KINDS, WRITTEN, fingerprints, host, tasks, written
from tests.property.torture import LEAST, RECORDS, Verdict, of_kind, of_operator

pytestmark = pytest.mark.filterwarnings(f"ignore::{SpecWarning.__module__}.SpecWarning")
ROOT = Path(__file__).parents[2]
SOME = 22


def check(verdict: Verdict) -> None:
    assert verdict.needless == ()
    assert verdict.false == ()
    assert verdict.astray == ()
    assert verdict.untried == ()
    assert verdict.preserving >= LEAST
    assert verdict.changing >= LEAST or verdict.name in RECORDS


@pytest.mark.parametrize("op_id", ir.OPERATORS)
def test_operators(op_id: str) -> None:
    """Some of the mutations of each, the same ones every time; the slow test has all."""
    check(of_operator(ir.OPERATORS[op_id], SOME))


@pytest.mark.parametrize("op_id", ir.OPERATORS)
def test_a_mutation_is_one(op_id: str) -> None:
    """A whole number loses its point where there is one; no mutation differs by its version beside what it is about."""
    cls = ir.OPERATORS[op_id]
    op, inputs = operators.sample(cls)
    floats = [name for name in attrs.fields_dict(type(op)) if isinstance(getattr(op, name), float)]
    without = [same for what, same in operators._rewritten(op, Random(0)) if what == "whole numbers without a point"]
    assert bool(without) == bool(floats)
    assert all(any(type(getattr(same, name)) is int for name in floats) for same in without)
    raised = [what for what, make in operators.changing(op, inputs) if make()[1][1] == f"{op_id}/{cls.op_version + 1}"]
    assert raised == ["its version +1"]


@pytest.mark.parametrize("error", [KeyError, StopIteration, AssertionError])
def test_a_defect_is_no_refusal(base: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    """What no rule refuses must compile: a mutation that could not be looked at is not left out."""

    def broken(experiment: Experiment, base: Path) -> dict[str, Task]:
        if experiment.curriculum.stages[0].guard.window != WRITTEN[Guard]["window"]:
            raise error
        return tasks(experiment, base)

    monkeypatch.setattr(torture, "tasks", broken)
    with pytest.raises((error, RuntimeError)):
        of_kind(Guard, base)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_objects_of_the_language(kind: type, base: Path) -> None:
    """In an experiment around each."""
    check(of_kind(kind, base, SOME))


@pytest.mark.slow
def test_every_mutation_and_the_table_that_counts_them(base: Path) -> None:
    """docs/reference/torture.md is what its script writes."""
    text, verdicts = reference.write(base)
    for verdict in verdicts:
        check(verdict)
        assert verdict.idle == (), "landings.txt says where nothing lands"
    assert text == reference.FILE.read_text(), "run scripts/make_torture_reference.py"


def test_the_table_has_every_operator_and_kind() -> None:
    """Also those that are new."""
    text = reference.FILE.read_text()
    assert [name for name in (*ir.OPERATORS, *(kind.__name__ for kind in KINDS)) if f"| {name} |" not in text] == []


OTHER_PROCESS = """
import json, sys
from pathlib import Path
from compiler import ir
from compiler.canonical import fingerprint, task_preimage
from tests.property import operators, specs
from tests.property.hosts import fingerprints
programs, base = json.loads(sys.stdin.read()), Path(sys.argv[1])
ops = {op_id: fingerprint(task_preimage(*operators.sample(cls))) for op_id, cls in ir.OPERATORS.items()}
kinds = {name: sorted(fingerprints(specs.run(text), base)) for name, text in programs.items()}
print(json.dumps([ops, kinds]))
"""


def test_another_process_with_another_seed_of_hashes(base: Path) -> None:
    """Sets have another order there."""
    programs = {kind.__name__: specs.texts(written(kind))["as it is"] for kind in KINDS}
    ops = {op_id: fingerprint(task_preimage(*operators.sample(cls))) for op_id, cls in ir.OPERATORS.items()}
    kinds = {kind.__name__: sorted(fingerprints(host(written(kind)), base)) for kind in KINDS}
    for seed in ("4242",):
        done = subprocess.run(
            [sys.executable, "-c", OTHER_PROCESS, str(base)],
            input=json.dumps(programs),
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout) == [ops, kinds]
