"""A run that is killed goes on to the same bytes."""

from __future__ import annotations

import json
import resource

import attrs
import cattrs
import pytest

from compiler.errors import UserError


@pytest.fixture
def killed_run(corpus, run_script):
    """Train a job with kills at the points: its output, and what lay under `resume` after each kill."""

    def run(job, *points):
        arguments = {
            "job": cattrs.unstructure(job),
            "tokens": [str(path) for path in corpus.tokens],
            "blend": str(corpus.blend(job)),
        }
        file, out, resume = (corpus.root / name for name in ("arguments.json", "killed", "killed-resume"))
        file.write_text(json.dumps(arguments))
        printed = run_script("killed_run", str(file), str(out), str(resume), *points)
        return out, [set(line.split()) for line in printed.splitlines()]

    return run


def test_a_run_killed_many_times_leaves_the_bytes_of_an_unbroken_one(tiny_job, run_job, killed_run, read_output):
    """Metrics, weights, moments and the saved state, after SIGKILL in steps, states and outputs."""
    job = attrs.evolve(tiny_job, checkpoint_every=2, save_at=4)
    points = (
        "step:1",  # before anything is saved
        "step:3",  # leaves the state at step 2
        "fsync:2",  # writing the state that a later stage may take, at step 4
        "fsync:8",  # writing the state to resume from, at step 4
        "rename:2",  # that one written, and not yet in its place
        "after:6",
        "step:7",
        "output:1",
        "output:2",
    )
    out, left_behind = killed_run(job, *points)
    lying = dict(zip(points, left_behind, strict=True))
    logs = {"metrics.jsonl", "timings.jsonl"}
    states = {step: f"step-{step:010d}" for step in (2, 4, 6, 8)}
    assert lying["step:1"] == logs
    assert lying["step:3"] == logs | {states[2]}
    assert lying["fsync:2"] == logs | {states[2], "aside"}
    assert lying["fsync:8"] == lying["rename:2"] == logs | {states[2], "saved", "aside"}
    assert lying["step:7"] == logs | {states[4], states[6], "saved"}
    assert lying["output:1"] == lying["output:2"] == logs | {states[6], states[8], "saved"}
    killed = read_output(out)
    unbroken = read_output(run_job(job))
    assert {
        "checkpoint/config.json",
        "checkpoint/model.safetensors",
        "metrics/metrics.jsonl",
        "state/state.json",
        "state/state.safetensors",
        "state/step-0000000004/state.json",
        "state/step-0000000004/state.safetensors",
    } == set(unbroken)
    assert unbroken == killed


def test_saving_changes_nothing(tiny_job, run_job, read_output):
    """The same bytes with and without states on the way."""
    assert read_output(run_job(tiny_job)) == read_output(run_job(attrs.evolve(tiny_job, checkpoint_every=1), "saving"))


def interrupted(job, run_job, after):
    """Run a job that stops with an exception after some steps."""

    def stop(done, total, unit):
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(job, "cut", progress=stop)


def test_a_damaged_state_is_passed_over_for_the_one_before(corpus, tiny_job, run_job, read_output):
    """The run goes on from step 4 instead of 6, and ends the same."""
    job = attrs.evolve(tiny_job, checkpoint_every=2)
    interrupted(job, run_job, 7)
    states = sorted((corpus.root / "cut-resume").glob("step-*"))
    assert [path.name for path in states] == ["step-0000000004", "step-0000000006"]
    with (states[1] / "state.safetensors").open("r+b") as file:
        file.truncate(1000)
    stats = {}
    resumed = run_job(job, "cut", stats=stats)
    assert stats["resumed_from_step"] == 4
    assert read_output(run_job(job)) == read_output(resumed)


def test_a_full_disk_loses_the_steps_since_the_last_state_only(corpus, tiny_job, run_job, read_output):
    """The system refuses files of more than 20 kB from step 5 on; what is said has the size, and where it goes on."""
    job, limits = attrs.evolve(tiny_job, checkpoint_every=2, save_at=7), resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(done, total, unit):
        if done == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))

    try:
        with pytest.raises(
            UserError, match=r"no space left for the state at step 6, 0\.1 MB \(File too large\)"
        ) as caught:
            run_job(job, "full", progress=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    resume = corpus.root / "full-resume"
    assert caught.value.fix == f"free space at {resume}, and run again: the stage goes on from step 4"
    assert {path.name for path in resume.glob("step-*")} == {"step-0000000002", "step-0000000004"}
    stats = {}
    assert read_output(run_job(job, "full", stats=stats)) == read_output(run_job(job))
    assert stats["resumed_from_step"] == 4


def test_a_full_disk_at_the_state_for_a_following_stage_is_said_as_well(corpus, tiny_job, run_job):
    """Nothing was kept before, so the stage begins anew."""
    job, limits = attrs.evolve(tiny_job, save_at=3), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(UserError, match="no space left for the state at step 3"):
            run_job(job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_token_file_that_is_gone_is_named_and_costs_nothing(corpus, tiny_job, run_job, read_output):
    """The run does not begin, the states stay, and it goes on when the file is there again."""
    job = attrs.evolve(tiny_job, checkpoint_every=2)
    interrupted(job, run_job, 5)
    file = corpus.tokens[1] / "tokens.bin"
    file.rename(file.with_name("away"))
    with pytest.raises(UserError, match="no such token file") as caught:
        run_job(job, "cut")
    assert caught.value.where == str(file)
    file.with_name("away").rename(file)
    stats = {}
    assert read_output(run_job(job, "cut", stats=stats)) == read_output(run_job(job))
    assert stats["resumed_from_step"] == 4


def test_the_last_state_is_enough_to_write_the_outputs(corpus, tiny_job, run_job, read_output):
    """Killed after the last step, before any output: no step is trained twice."""
    job = attrs.evolve(tiny_job, checkpoint_every=4)
    interrupted(job, run_job, 8)
    stats = {}
    resumed = run_job(job, "cut", stats=stats)
    assert stats["resumed_from_step"] == 8
    assert read_output(run_job(job)) == read_output(resumed)


def test_the_state_of_another_job_is_refused(tiny_job, run_job):
    """A seed is part of the job; how often to save is not."""
    job = attrs.evolve(tiny_job, checkpoint_every=2)
    interrupted(job, run_job, 3)
    with pytest.raises(UserError, match="the state at step 2 is of another job"):
        run_job(attrs.evolve(job, seed=8), "cut")
    run_job(attrs.evolve(job, checkpoint_every=3, micro_batch=1), "cut")
