"""Reading sacct: real rows of an array, a requeued, a preempted, a cancelled and a stranger's job, one with GPUs."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.accounting import FIELDS, Attempt, attempts, parse
from runtime.dispatch.slurm.client import QueueUnavailable

ROWS = (Path(__file__).parents[1] / "fixtures/sacct/run.txt").read_text().splitlines()


def of(job: str) -> list[Attempt]:
    return [one for one in parse(ROWS) if one.job == job]


def test_the_elements_of_an_array_are_attempts_of_its_job() -> None:
    """Each under an id of its own, the array's for the last."""
    elements = of("18")
    assert sorted(one.id for one in elements) == ["18", "26", "27", "29"]
    assert [one.seconds for one in elements] == [12, 11, 8, 9]
    assert [one.waited for one in elements] == [1, 1, 4, 4]  # not for the throttle: only then are they eligible
    assert {(one.cpus, one.gpus, one.memory_mb, one.name) for one in elements} == {
        (2, 0, 500.0, "code--sign.tiny-1a2b3c4d.00000001")
    }
    assert all(211 < one.peak_memory_mb < 212 for one in elements)


def test_steps_are_folded_into_their_job() -> None:
    """CPU time is not counted twice; memory is that of the largest step, over all its tasks and nodes."""
    (trained,) = of("20")
    assert (trained.seconds, trained.cpus, trained.gpus, trained.memory_mb) == (13, 8, 4, 2000.0)
    assert trained.cpu_seconds == 6.666
    assert trained.peak_memory_mb == pytest.approx(873168896 / 2**20)


@pytest.mark.parametrize(
    ("job", "states", "seconds"),
    [("19", ["REQUEUED", "COMPLETED"], [3, 9]), ("24", ["PREEMPTED", "COMPLETED"], [6, 12])],
)
def test_each_attempt_counts_with_its_own_steps(job: str, states: list[str], seconds: list[int]) -> None:
    """Those that were cut off, too."""
    found = of(job)
    assert [one.state for one in found] == states
    assert [one.seconds for one in found] == seconds
    assert {one.id for one in found} == {job}
    assert [one.peak_memory_mb is None for one in found] == [job == "19", False]


def test_what_never_started_used_nothing() -> None:
    """Cancelled with its parent, waiting for its time, or refused, which has a start all the same."""
    for job, state in (("22", "CANCELLED"), ("25", "PENDING"), ("13", "FAILED")):
        (found,) = of(job)
        assert (found.state, found.start, found.waited, found.seconds) == (state, None, None, 0)
    assert of("21")[0].state == "CANCELLED"  # "CANCELLED by 0"


def test_lines_that_are_no_rows_are_left_out() -> None:
    """And with them the steps of what they were; a name may hold the separator."""
    head = "7|7|COMPLETED|1|2|3|1|00:01|1|cpu=1,mem=1M||"
    step = "8.batch|8.batch|COMPLETED|1|2|3|1|00:01|1|cpu=1|mem=1048576|batch"
    (found,) = parse(["sacct: a remark", "", f"{head}odd|name", step])
    assert found.name == "odd|name"
    assert found.peak_memory_mb is None
    assert len(head.split("|")) == len(FIELDS)


def sacct(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program called sacct before all others."""
    program = folder / "bin" / "sacct"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


def test_one_call_for_all_jobs_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of at most 1000 ids each, with times as numbers."""
    sacct(tmp_path, f'echo "$SLURM_TIME_FORMAT $@" >> {tmp_path}/calls', monkeypatch)
    assert attempts([]) == []
    assert not (tmp_path / "calls").exists()
    attempts([str(number) for number in range(1, 1202)])
    calls = (tmp_path / "calls").read_text().splitlines()
    asked = [call.partition("--jobs=")[2].partition(" ")[0].split(",") for call in calls]
    assert [len(ids) for ids in asked] == [1000, 201]
    assert all(call.startswith("%s ") and "--duplicates" in call for call in calls)


def test_no_accounting_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Slurm says where it keeps none."""
    sacct(tmp_path, 'echo "Slurm accounting storage is disabled" >&2; exit 1', monkeypatch)
    with pytest.raises(QueueUnavailable, match="storage is disabled"):
        attempts(["7"])
