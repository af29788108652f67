"""What a store tells of the next run: facts to the byte, rates by operator, and nothing of what cannot be read."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from compiler import canonical, ir
from compiler.cost.estimate import estimate
from compiler.plan import Plan
from ocspec import Batches
from runtime.calibration import calibration, known_of, operator_of
from runtime.run import Summary
from runtime.store import Store
from tests.runtime.conftest import Workbench, tiny

Finished = tuple[Workbench, Plan, Path, Summary]


def test_built_tasks_are_known_to_the_byte(finished: Finished) -> None:
    """Documents, tokens and bytes are exact; times and peaks within what may differ the next time."""
    bench, plan, _, _ = finished
    found = estimate(plan, None, calibration(bench.store, plan))
    for task in plan.tasks:
        took = known_of(bench.store.find(task.fingerprint).manifest)
        assert found[task.id].bytes_written.is_exact
        assert found[task.id].bytes_written.high == took.bytes_written
        assert took.seconds + 1 in found[task.id].seconds
        assert took.peak_memory_mb in found[task.id].memory_mb
    encode, refine = plan.task("code/encode"), plan.task("code/refine")
    assert found["code/encode"].tokens.high == bench.store.find(encode.fingerprint).manifest["stats"]["tokens"]
    assert found["code/downsample"].documents.high == bench.store.find(refine.fingerprint).manifest["stats"]["kept"]


def test_what_was_measured_lies_within_what_is_supposed(finished: Finished) -> None:
    """Without any past run, by the size of the source alone: bytes, documents and tokens of every task."""
    bench, plan, _, _ = finished
    found = estimate(plan)
    for task in plan.tasks:
        took = known_of(bench.store.find(task.fingerprint).manifest)
        assert took.bytes_written in found[task.id].bytes_written, task.id
        if isinstance(task.op, ir.Encode | ir.Pack | ir.TrainOp):
            assert took.tokens in found[task.id].tokens, task.id


def test_rates_carry_over_to_a_changed_experiment(finished: Finished) -> None:
    """Half as many steps again: the stage is not built, what it takes comes from how fast the others were."""
    bench, plan, _, _ = finished
    experiment = tiny(bench.corpus)
    first, *others = experiment.curriculum.stages
    longer = first.replace(batches=(Batches(steps=9, global_batch=4, sequence_length=64),))
    changed = experiment.replace(curriculum=experiment.curriculum.replace(stages=(longer, *others)))
    new, _ = bench.compile(changed)
    learnt = calibration(bench.store, new)
    assert new.task("pretrain/train").fingerprint not in learnt.known
    assert new.task("code/encode").fingerprint in learnt.known
    assert "cpu/torch" in learnt.utilization or all(
        known_of(bench.store.find(t.fingerprint).manifest).seconds < 2 for t in plan.tasks
    )
    assert {"data.sign", "data.refine", "text.encode", "mix.draw"} <= set(learnt.rates)
    assert not {op for op in learnt.memory if op.startswith("train.")}
    assert estimate(new, None, learnt)["pretrain/train"].tokens.high == 9 * 4 * 64


def test_a_pre_image_gives_its_operator_back(finished: Finished) -> None:
    """But for labels and how it was run, which are not in it."""
    _, plan, _, _ = finished
    for task in plan.tasks:
        found = operator_of(task.preimage)
        assert type(found) is type(task.op)
        assert canonical.to_tree(found) == task.preimage[1]


@pytest.mark.parametrize("preimage", [[], ["task"], ["task", ["op", "no.such/1", {}], []], ["task", ["op", 3, {}], []]])
def test_a_strange_pre_image_gives_none(preimage: list[object]) -> None:
    """As does one of another version."""
    assert operator_of(preimage) is None


def test_damaged_manifests_tell_nothing(tmp_path: Path, finished: Finished) -> None:
    """And stop nothing; neither does a store that is not there."""
    _, plan, _, _ = finished
    for name, text in {"a": "{", "b": "[]", "c": '{"key": "c"}'}.items():
        folder = tmp_path / "artifacts" / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(text)
    for root in (tmp_path, tmp_path / "absent"):
        found = calibration(Store(root), plan)
        assert attrs.evolve(found, processors=None) == attrs.evolve(type(found)(), processors=None)
