"""What tasks used, from real rows of sacct and from manifests."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler import ir
from compiler.plan import Resources, Task
from runtime.accounting import Attempt, parse
from runtime.task import Artifact
from runtime.usage import from_manifest, from_sacct

ROWS = (Path(__file__).parents[1] / "fixtures/sacct/run.txt").read_text().splitlines()
ENCODE = ir.Encode(dataset="d")


def of(job: str) -> list[Attempt]:
    return [one for one in parse(ROWS) if one.job == job]


def test_an_array() -> None:
    """Hours are allocated ones: 40 s of two processors; it used a quarter of them."""
    task = Task(id="code/sign", op=ENCODE, shards=4, resources=Resources(cpus=2, seconds=9))
    used = from_sacct(task, of("18"))
    assert (used.source, used.jobs, used.repeats) == ("sacct", 4, 0)
    assert used.waited == 2.5
    assert used.wall == 1795398552 - 1795398527
    assert used.cpu_hours * 3600 == pytest.approx(2 * (12 + 11 + 8 + 9))
    assert used.cpu_efficiency == pytest.approx((2.630 + 2.433 + 2.540 + 2.547) / 80)
    assert used.memory_efficiency == pytest.approx(221704192 / 2**20 / 500)
    assert used.planned_cpu_hours * 3600 == pytest.approx(2 * 4 * 9)
    assert used.planned_gpu_hours == 0


def test_attempts_that_were_cut_off_count() -> None:
    """They were paid for."""
    used = from_sacct(Task(id="t", op=ENCODE), of("24"))
    assert (used.jobs, used.repeats) == (1, 1)
    assert used.cpu_hours * 3600 == pytest.approx(4 * (6 + 12))
    assert used.wall == 1795398557 - 1795398527
    assert used.planned_cpu_hours is None


def test_gpus_of_all_nodes() -> None:
    """Two on each of two nodes; so does the plan's estimate count."""
    task = Task(id="t", op=ENCODE, resources=Resources(gpus=2, nodes=2, cpus=4, seconds=10))
    used = from_sacct(task, of("20"))
    assert used.gpu_hours * 3600 == pytest.approx(4 * 13)
    assert used.planned_gpu_hours * 3600 == pytest.approx(4 * 10)
    assert used.planned_cpu_hours * 3600 == pytest.approx(8 * 10)


def test_what_runs_counts_so_far_and_not_for_efficiency() -> None:
    """Its steps have not reported yet."""
    row = "9|9|RUNNING|100|110|Unknown|30|00:00:00|2|cpu=2,mem=100M||t"
    used = from_sacct(Task(id="t", op=ENCODE), parse([row]))
    assert used.cpu_hours * 3600 == pytest.approx(60)
    assert (used.waited, used.wall) == (10, 30)
    assert used.cpu_efficiency is used.memory_efficiency is None


def test_a_manifest_tells_of_its_shards(tmp_path: Path) -> None:
    """By what they asked for then, whatever the plan asks for now."""
    shards = [
        {"started": 100.0, "seconds": 30.0, "cpu_seconds": 45.0, "peak_memory_mb": 500},
        {"started": 110.0, "seconds": 10.0, "cpu_seconds": 15.0, "peak_memory_mb": 250},
    ]
    asked = {"cpus": 2, "gpus": 1, "nodes": 1, "memory_mb": 1000}
    artifact = Artifact(path=tmp_path, manifest={"shards": shards, "resources": asked})
    used = from_manifest(Task(id="t", op=ENCODE, resources=Resources(cpus=16)), artifact)
    assert (used.source, used.jobs, used.repeats, used.waited) == ("manifest", 2, 0, None)
    assert used.wall == 30
    assert used.cpu_hours * 3600 == pytest.approx(80)
    assert used.gpu_hours * 3600 == pytest.approx(40)
    assert used.cpu_efficiency == pytest.approx(0.75)
    assert used.memory_efficiency == 0.5
