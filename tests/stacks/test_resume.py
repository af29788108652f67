"""A run that was stopped or killed goes on to the same losses, at any number of ranks."""

from __future__ import annotations

import signal
from pathlib import Path

import attrs
import numpy as np
import pytest

from compiler.trainjob import Parallelism
from runtime import interruption, launch
from tests.stacks.bench import JOB, largest_difference

SAVING = attrs.evolve(JOB, checkpoint_every=10)
ALONE, PAIR = Parallelism(), Parallelism(data=2, distributed_optimizer=True)


@pytest.mark.parametrize(("backend", "asked"), [("megatron", {"stop_after": 23}), ("nemo", {"term_after": 23})])
def test_a_stopped_run_goes_on_to_the_same_bits(bench, backend, asked):
    """Asked to stop, by Slurm's signal, too, it saves the state of that very step, whatever the cadence."""
    unbroken = bench.trained(backend, attrs.evolve(JOB, backend=backend))
    job = attrs.evolve(SAVING, backend=backend)
    stopped = bench.run(f"{backend}-stopped", job, **asked)
    assert stopped.codes == [interruption.EXIT_CODE]
    assert len(stopped.metrics) == 24
    ended = bench.trained(f"{backend}-stopped", job)
    assert ended.stats["resumed_from_step"] == 24
    assert np.array_equal(unbroken.losses, ended.losses)
    assert weights(unbroken.out) == weights(ended.out)


@pytest.mark.parametrize(("before", "after"), [(PAIR, ALONE), (Parallelism(tensor=2), PAIR)])
def test_a_run_goes_on_at_another_split(bench, before, after):
    """The batches of a step do not depend on who computes them; sums of gradients differ in their rounding."""
    unbroken = bench.trained("megatron", attrs.evolve(JOB, backend="megatron"))
    job, name = attrs.evolve(SAVING, backend="megatron"), f"{before.devices}{before.tensor}-{after.devices}"
    stopped = bench.run(name, attrs.evolve(job, parallelism=before), stop_after=23)
    assert set(stopped.codes) == {interruption.EXIT_CODE}
    ended = bench.trained(name, attrs.evolve(job, parallelism=after))
    assert ended.stats["resumed_from_step"] == 24
    assert largest_difference(unbroken.losses, ended.losses) < 1e-6


def test_a_killed_run_loses_the_steps_since_its_last_state(bench):
    """Killed in step 27, then with its newest state cut short: it goes on from 20, then from the one before, 10."""
    unbroken = bench.trained("megatron", attrs.evolve(JOB, backend="megatron"))
    job = attrs.evolve(SAVING, backend="megatron")
    killed = bench.run("megatron-killed", job, kill_after=27)
    assert killed.codes == [-signal.SIGKILL]
    killed = bench.run("megatron-killed", job, kill_after=29)
    cut_short(killed.resume / "step-0000000020")
    ended = bench.trained("megatron-killed", job)
    assert ended.stats["resumed_from_step"] == 10
    assert np.array_equal(unbroken.losses, ended.losses)
    assert weights(unbroken.out) == weights(ended.out)


def test_a_full_disk_ends_a_save_with_one_message_and_nothing_lost(bench):
    """Files of at most 50 kB: the state after 10 steps cannot be written, and nothing half-written counts."""
    job = attrs.evolve(SAVING, backend="megatron")
    full = bench.run("megatron-full", job, largest_file=50_000)
    assert full.codes == [1]
    assert not list(full.resume.glob("step-*"))
    message = [line for line in full.said.splitlines() if line.startswith("error:")]
    assert len(message) == 1
    assert "no space left" in message[0]
    ended = bench.trained("megatron-full", job)
    assert ended.stats["resumed_from_step"] == 0


def test_one_failing_rank_ends_all(bench):
    """A NaN in the weights of one of two: both end, neither waits for the other, and the log says which step."""
    job = attrs.evolve(SAVING, backend="megatron", parallelism=PAIR)
    ended = bench.run("megatron-nan", job, nan_before=12)
    assert ended.codes == [1, launch.LOST_EXIT_CODE]
    assert "loss nan" in ended.said
    assert "at step 12" in ended.said
    assert [path.name for path in ended.resume.glob("step-*")] == ["step-0000000010"]


def weights(out: Path) -> bytes:
    """The checkpoint's bytes."""
    return (out / "checkpoint" / "model.safetensors").read_bytes()


def cut_short(directory: Path) -> None:
    """Take the end off the largest file of a state."""
    largest = max((path for path in directory.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    with largest.open("r+b") as file:
        file.truncate(largest.stat().st_size // 2)
