"""Random changes of the tiny experiment: what the plan says would be rebuilt is built, and no other bytes change.

Of data tasks up to the mixtures, so that many changes can be run; `test_reasons` has some with training.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import attrs
import pytest

from compiler.overrides import override
from compiler.plan import Plan
from runtime.reasons import outlook
from runtime.run import Summary
from runtime.store import Store
from tests.runtime.conftest import Workbench, tiny

Finished = tuple[Workbench, Plan, Path, Summary]
NOT_RUN = {"train", "eval"}
CHOICES = {
    "data.code.steps.admit.max_bytes": ("7000000", "6000000", "60000"),
    "data.code.steps.admit.languages": ('("python",)',),
    "data.code.steps.deduplicate.granularity": ('"repository"',),
    "data.code.steps.deduplicate.exact": ("False",),
    "data.code.steps.deduplicate.near.bands": ("8", "20"),
    "data.code.steps.deduplicate.near.rows": ("12", "20"),
    "data.code.steps.deduplicate.near.ngram": ("4", "6"),
    "data.code.steps.deduplicate.near.seed": ("2", "3"),
    "data.code.steps.redact.pii": ("False",),
    "data.code.steps.redact.copyright": ("False",),
    "data.chosen.steps.selectkeywords.keywords": ('("Heap",)', '("sequence", "Heap", "no such word")'),
    "tokenizer.vocab_size": ("390", "410"),
    "tokenizer.sample_bytes": ("150000", "210000"),
    "tokenizer.seed": ("1", "2"),
    "hold_out.repositories": ('("held", "files")',),
}


def settings_of(seed: int) -> list[str]:
    """One to three changes."""
    chosen = random.Random(seed)
    return [f"{path}={chosen.choice(CHOICES[path])}" for path in chosen.sample(sorted(CHOICES), chosen.randint(1, 3))]


def digests(plan: Plan, store: Store) -> dict[str, str]:
    """What the tasks of a plan hold."""
    found = {task.id: store.find(task.fingerprint) for task in plan.tasks}
    return {task: artifact.manifest["digest"] for task, artifact in found.items() if artifact is not None}


def data_of(plan: Plan) -> Plan:
    """The tasks before training."""
    return attrs.evolve(plan, tasks=tuple(t for t in plan.tasks if t.resources.task_class not in NOT_RUN))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_what_is_rebuilt_is_what_was_said(finished: Finished, tmp_path: Path, seed: int) -> None:
    bench, first, _, _ = finished
    own = Workbench(tmp_path, bench.corpus)
    shutil.copytree(bench.store.root, own.store.root)
    plan, path = own.compile(override(tiny(bench.corpus), settings_of(seed)))
    plan, before = data_of(plan), digests(data_of(first), own.store)
    said = {one.task.id: one.action for one in outlook(plan, own.store)}
    summary = own.run(plan, path)
    assert summary.errors == ()
    after = digests(plan, own.store)
    changed = {task for task, digest in after.items() if before.get(task) != digest}
    assert {task for task, action in said.items() if action in {"rebuild", "new"}} <= set(summary.ran)
    assert {task for task, action in said.items() if action == "reuse"} == set(summary.reused)
    assert {task for task, action in said.items() if action == "may cut off"} >= set(summary.cut_off)
    assert changed <= set(summary.ran)
    assert changed.isdisjoint(summary.reused) and changed.isdisjoint(summary.cut_off)
    print(f"seed {seed}: {len(summary.ran)} ran, {len(changed)} changed, {len(summary.cut_off)} cut off")  # -s shows it
