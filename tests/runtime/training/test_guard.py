"""What becomes of a step whose loss is not finite or jumps: by its numbers, and in whole runs."""

from __future__ import annotations

import json
import math

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.trainjob import BatchPhase, Guard, SchedulePhase
from runtime.training.checkpoint import load_hf, save_hf
from runtime.training.guard import LossGuard, Verdict
from runtime.training.loop import Step, metrics_line

BROKEN = 63  # a token whose embedding is not a number


def judged(job, losses, guard=None):
    """The verdicts on steps with these losses, in order; the last is None where the job ended."""
    guard, verdicts = guard or LossGuard(job), []
    for step, loss in enumerate(losses):
        try:
            verdicts.append(guard.judge(step, loss, 1.0, 1e-3))
        except UserError:
            return [*verdicts, None]
    return verdicts


policies = st.builds(
    Guard,
    not_finite=st.sampled_from(["stop", "skip"]),
    spike=st.sampled_from(["note", "skip", "stop"]),
    window=st.integers(1, 5),
    max_skips=st.integers(0, 3),
)
losses_of_a_run = st.lists(st.sampled_from([1.0, 1.2, 1.4, 1.6, 2.5, 4.0, math.nan, math.inf]), max_size=30)


@given(policies, losses_of_a_run, st.data())
def test_a_resumed_run_judges_as_the_unbroken_one(tiny_job, policy, losses, data):
    """From the lines of metrics up to any step, as they are on disk, follow the same verdicts and the same end."""
    job = attrs.evolve(tiny_job, guard=policy)
    unbroken = judged(job, losses)
    until = data.draw(st.integers(0, len([verdict for verdict in unbroken if verdict])))
    lines = [
        metrics_line(step, Step(loss=losses[step], norm=1.0, verdict=unbroken[step]), 1e-3, 0) for step in range(until)
    ]
    guard = LossGuard(job)
    guard.recall(json.loads(json.dumps(line, allow_nan=False)) for line in lines)
    assert judged(job, losses[until:], guard) == unbroken[until:]


@given(policies, losses_of_a_run)
def test_a_run_ends_or_has_at_most_so_many_skips(tiny_job, policy, losses):
    """Nothing that is not finite passes unnoticed, and nothing is skipped that was not to be."""
    verdicts = judged(attrs.evolve(tiny_job, guard=policy), losses)
    passed = [verdict for verdict in verdicts if verdict]
    assert sum(verdict.skip for verdict in passed) <= policy.max_skips
    for loss, verdict in zip(losses, passed, strict=False):
        assert (verdict.anomaly == "not finite") == (not math.isfinite(loss))
        assert not verdict.skip or (policy.not_finite if verdict.anomaly == "not finite" else policy.spike) == "skip"


@given(st.floats(0.01, 100), st.integers(1, 20))
def test_a_spike_is_told_by_its_ratio_to_the_median(tiny_job, usual, window):
    """On either side of the ratio; the loss of a spike does not move the median, and a short history has none."""
    job = attrs.evolve(tiny_job, guard=Guard(spike="note", window=window, spike_ratio=2.0))
    spike = Verdict("spike")
    flat = [usual] * window
    assert judged(job, [*flat, 1.99 * usual]) == [Verdict()] * (window + 1)
    assert judged(job, [*flat, *[2.01 * usual] * 60]) == [Verdict()] * window + [spike] * 60
    assert judged(job, [*flat[1:], 100 * usual]) == [Verdict()] * window


def test_what_a_person_is_told_has_the_numbers(tiny_job):
    """The step, both numbers, the rate, and what can be done."""
    with pytest.raises(UserError, match=r"loss nan and gradient norm inf at step 4 of 8 \(learning rate 0\.01\)"):
        LossGuard(tiny_job).judge(3, math.nan, math.inf, 1e-2)
    guard = LossGuard(attrs.evolve(tiny_job, guard=Guard(spike="stop", window=2)))
    for step in (0, 1):
        guard.judge(step, 2.0, 1.0, 1e-2)
    with pytest.raises(
        UserError, match=r"loss 5, 2\.5 times the median of the 2 steps before at step 3 of 8"
    ) as caught:
        guard.judge(2, 5.0, 1.0, 1e-2)
    assert "guard" in caught.value.fix


@pytest.fixture
def broken_start(corpus, tiny_job, run_job):
    """A stage before whose embedding of one token is not a number, and a job on it: bad steps are 2 and 6 of 8."""
    before = run_job(attrs.evolve(tiny_job, stage="before"), "before")
    model = load_hf(before / "checkpoint")
    with torch.no_grad():
        model.model.embed_tokens.weight[BROKEN] = math.nan
    save_hf(model, tiny_job.model, before / "checkpoint")
    job = attrs.evolve(
        tiny_job,
        kind="anneal",
        start_from="weights",
        checkpoint_every=1,
        optimizer=attrs.evolve(tiny_job.optimizer, clip_norm=1.0),
        batches=(BatchPhase(steps=8, global_batch=4, sequence_length=8),),
    )
    ids = [np.memmap(directory / "tokens.bin", np.uint16, "r+") for directory in corpus.tokens]
    for tokens in ids:
        tokens[tokens == BROKEN] = 0
        tokens[100] = BROKEN
    rows = np.stack((np.arange(32) % 2, np.arange(32) % 16), 1)
    rows[[5, 22], 1] = 97  # of steps 2 and 6: one sequence of data set 1, one of data set 0, with the token
    blend = corpus.blend(job)
    np.save(blend / "order-0.npy", rows.astype(np.int64))
    return before, job


def test_a_loss_that_is_not_a_number_stops_the_run_at_its_step(broken_start, run_job, corpus):
    """By default. What was trained before is kept."""
    before, job = broken_start
    with pytest.raises(UserError, match="loss nan and gradient norm nan at step 2 of 8"):
        run_job(job, init=before)
    assert len((corpus.root / "run-resume" / "metrics.jsonl").read_text().splitlines()) == 1
    assert (corpus.root / "run-resume" / "step-0000000001").is_dir()


def test_steps_that_are_not_a_number_are_skipped_and_the_run_goes_on_over_them(
    broken_start, run_job, corpus, read_output, read_metrics
):
    """Their lines are JSON with null for what is no number; a run that is cut after one ends with the same bytes."""
    before, job = broken_start
    job = attrs.evolve(job, guard=Guard(not_finite="skip", max_skips=2))
    unbroken = run_job(job, init=before)
    text = (unbroken / "metrics" / "metrics.jsonl").read_text()
    lines = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    assert [line["step"] for line in lines if line.get("skipped")] == [2, 6]
    for line in (lines[1], lines[5]):
        assert (line["loss"], line["grad_norm"], line["anomaly"]) == (None, None, "not finite")
        assert sorted(line["sources"].values(), key=str) == [max(filter(None, line["sources"].values())), None]
    assert all(math.isfinite(line["loss"]) for line in lines if "anomaly" not in line)
    assert bool(load_hf(unbroken / "checkpoint").lm_head.weight.isfinite().all())
    for cut in (2, 6):

        def stop(done, total, unit, cut=cut):
            if done == cut:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_job(job, f"cut-{cut}", init=before, progress=stop)
        assert read_output(run_job(job, f"cut-{cut}", init=before)) == read_output(unbroken)
    with pytest.raises(UserError, match=r"with it 2 steps are skipped, and guard\.max_skips is 1"):
        run_job(attrs.evolve(job, guard=Guard(not_finite="skip", max_skips=1)), "one", init=before)


def test_a_spike_is_noted_skipped_or_ends_the_run(corpus, tiny_job, run_job, read_metrics):
    """One batch is learnt by heart, and step 31 of 40 is another. Skipped, it is as if it had not been."""
    job = attrs.evolve(
        tiny_job,
        schedule=(SchedulePhase(shape="constant", steps=40, start=1e-2, end=1e-2),),
        batches=(BatchPhase(steps=40, global_batch=1, sequence_length=8),),
    )
    order = corpus.blend(job) / "order-0.npy"
    rows = np.zeros((40, 2), np.int64)
    rows[30] = 1, 50
    np.save(order, rows)
    said = {kind: attrs.evolve(job, guard=Guard(spike=kind, window=5)) for kind in ("note", "skip", "stop")}
    noted, skipped = (read_metrics(run_job(said[kind], kind)) for kind in ("note", "skip"))
    for lines, skip in ((noted, False), (skipped, True)):
        assert next((line["step"], line["skipped"]) for line in lines if "anomaly" in line) == (31, skip)
        assert lines[30]["anomaly"] == "spike" and lines[30]["loss"] > 1.5 * lines[29]["loss"]
    assert noted[:30] == skipped[:30]
    np.save(order, np.zeros((40, 2), np.int64))
    plain = read_metrics(run_job(said["note"], "plain"))
    assert [line["loss"] for line in skipped[31:]] == [line["loss"] for line in plain[30:39]]
    assert noted[31]["loss"] != plain[30]["loss"]
    np.save(order, rows)
    with pytest.raises(UserError, match=r"times the median of the 5 steps before at step 31 of 40"):
        run_job(said["stop"], "stop")
