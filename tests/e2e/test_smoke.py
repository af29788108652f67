"""A rehearsal from the command line: compiled, run by the dispatcher and the workers, reported. Real jobs, small."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import TOP, Project

ON_TORCH = """\
from opencoder_8b import experiment as large

from ocspec import Curriculum

stages = tuple(
    stage.replace(backend="torch", parallelism=stage.parallelism.replace(tensor=1)) for stage in large.curriculum.stages
)
experiment = large.replace(curriculum=Curriculum(stages=stages))
"""


def metrics(project: Project, plan: Path) -> dict[str, list[dict[str, float]]]:
    """The lines that each training task of a plan wrote, by task."""
    facts = json.loads(project.ocspec("status", str(plan), "--json").out)
    assert {task["state"] for task in facts["tasks"]} == {"finished"}
    found = {}
    for file in sorted(project.store.rglob("metrics.jsonl")):
        manifest = json.loads((file.parents[1] / "manifest.json").read_text())
        found[manifest["task"]] = [json.loads(line) for line in file.read_text().splitlines()]
    return found


def test_a_rehearsal_runs_without_any_data(project: Project) -> None:
    """The sources are gone, and it trains all the same, beside the plan of the experiment and not in its place."""
    project.compile()
    shutil.rmtree(project.root / "repositories")
    project.write_spec(('path="repositories"', 'path="repositories", declared=Declared(tokens=10_000)'))
    ran = project.ocspec("run", "spec.py", "--smoke")
    assert ran.code == 0, ran.err
    assert "small-smoke: 4 tasks" in project.ocspec("status").out
    assert "report: build/small-smoke/report.html" in ran.out
    assert project.plan.is_file()
    again = project.ocspec("run", "spec.py", "--smoke")
    assert "0 ran, 4 reused" in again.out


@pytest.mark.slow
def test_the_8b_rehearses_all_its_stages_on_torch(project: Project) -> None:
    """Two phases of pretraining, annealing from its state, tuning twice: each from the one before, losses that fall."""
    for name in ("opencoder_8b.py", "opencoder_data.py"):
        shutil.copy(TOP / "specs" / name, project.root)
    project.write("on_torch.py", ON_TORCH)
    ran = project.ocspec("run", "on_torch.py", "--smoke")
    assert ran.code == 0, ran.err
    assert "26 ran" in ran.out
    plan = project.root / "build" / "opencoder-8b-smoke"
    lines = metrics(project, plan)
    assert {task: len(found) for task, found in lines.items()} == {
        "pretrain/train": 16, "anneal/train": 8, "sft_1/train": 8, "sft_2/train": 8,
    }  # fmt: skip
    losses = [line["loss"] for found in lines.values() for line in found]
    assert all(math.isfinite(loss) for loss in losses)
    pretrain, anneal = lines["pretrain/train"], lines["anneal/train"]
    assert pretrain[0]["loss"] == pytest.approx(math.log(512), rel=0.05)
    assert anneal[0]["loss"] < pretrain[0]["loss"]
    assert (anneal[0]["lr"] < 3e-4, anneal[-1]["lr"]) == (True, pytest.approx(1e-5, rel=1e-12))
