"""The arms of the ablation of deduplication levels: which steps each has, and that nothing else differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.compile import compile_experiment
from compiler.diff import diff_plans
from compiler.errors import UserError
from compiler.load import load_all, load_every, load_spec
from compiler.plan import Plan
from ocspec import Deduplicate, Experiment

FILE = Path(__file__).parents[2] / "specs" / "ablations" / "dedup_level.py"
ARMS = {
    "file_level": ("file",),
    "repository_level": ("repository",),
    "chunk_level": ("chunk",),
    "file_then_chunk": ("file", "chunk"),
    "repository_then_chunk": ("repository", "chunk"),
}


def loaded(arm: str) -> tuple[Experiment, Plan]:
    experiment, base = load_spec(f"{FILE}:{arm}")
    return experiment, compile_experiment(experiment, base)


def test_the_file_is_its_arms() -> None:
    """And not the experiment that they start from, which another file makes."""
    names = [f"{FILE}:{arm}" for arm in ARMS]
    assert [name for name, _ in load_all(str(FILE))[0]] == [name for name, _ in load_every(str(FILE))[0]] == names
    with pytest.raises(UserError, match=r"the file has its own \(file_level, repository_level, chunk_level, ") as error:
        load_spec(str(FILE))
    assert all(name in error.value.fix for name in names)


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_deduplicates_at_its_levels(arm: str) -> None:
    """All at 16 bands of 128 rows, between the same other steps."""
    experiment, plan = loaded(arm)
    (code,) = (dataset for dataset in experiment.data if dataset.name == "code")
    steps = [step for step in code.steps if isinstance(step, Deduplicate)]
    assert tuple(step.granularity for step in steps) == ARMS[arm]
    assert [(step.bands, step.rows) for step in plan.deduplication] == [(16, 128)] * len(steps)
    kinds = [type(step).__name__ for step in code.steps if not isinstance(step, Deduplicate)]
    assert kinds == ["Admit", "Redact", "Filter", "Downsample"]
    assert plan.experiment.startswith("dedup_")


@pytest.mark.parametrize("arm", [arm for arm in ARMS if arm != "file_level"])
def test_arms_differ_in_deduplication_only(arm: str) -> None:
    """In the granularity of the step, in a step more, or in both."""
    changes = {change.path for change in diff_plans(loaded("file_level")[1], loaded(arm)[1]).changes}
    wanted = {"data.code.steps.deduplicate.granularity"} if ARMS[arm][0] != "file" else set()
    assert changes == wanted | ({"data.code.steps.deduplicate#2"} if len(ARMS[arm]) > 1 else set())
