"""Whole stages on the torch back end."""

from __future__ import annotations

import json
import types

import attrs
import numpy as np
import pytest
import torch

from compiler.errors import UserError
from compiler.trainjob import AdamW, BatchPhase, Parallelism, SchedulePhase
from runtime.task import Artifact, TaskContext
from runtime.training.checkpoint import load_hf
from runtime.training.device import choose_device, reproducible
from runtime.training.run import bos_eos, run
from runtime.training.sealed import read_sealed


def constant(steps, rate):
    """A flat schedule."""
    return (SchedulePhase(shape="constant", steps=steps, start=rate, end=rate),)


@pytest.fixture
def anneal_job(tiny_job):
    """Four steps of decay from the learning rate that `tiny_job` ends at."""
    return attrs.evolve(
        tiny_job,
        stage="anneal",
        kind="anneal",
        start_from="state",
        schedule=(SchedulePhase(shape="exponential", steps=4, start=1e-2, end=1e-4),),
        batches=(BatchPhase(steps=4, global_batch=4, sequence_length=8),),
    )


def test_a_stage_writes_all_its_outputs(corpus, tiny_job, run_job, read_metrics):
    """One line of metrics per step, with the schedule's learning rates; the machine is in the log.

    The losses of the data sets are there where a batch drew from several.
    """
    seen, stats = [], {}
    out = run_job(tiny_job, progress=lambda *call: seen.append(call), stats=stats)
    lines = read_metrics(out)
    assert [line["step"] for line in lines] == list(range(1, 9))
    assert [line["lr"] for line in lines] == [5e-3] + [1e-2] * 7
    assert [line["tokens"] for line in lines] == [32, 64, 96, 128, 160, 192, 224, 256]
    assert all(set(line) - {"sources"} == {"step", "loss", "lr", "grad_norm", "tokens"} for line in lines)
    orders = [np.load(corpus.blend(tiny_job) / f"order-{number}.npy")[:, 0] for number in (0, 1)]
    rows = [*orders[0].reshape(5, 4), *orders[1].reshape(3, 2)]
    names = [{f"set-{number}" for number in set(row)} for row in rows]
    assert [set(line.get("sources", ())) for line in lines] == [name if len(name) > 1 else set() for name in names]
    mixed = [line for line in lines if "sources" in line]
    assert 0 < len(mixed) < 8, "both kinds of steps are here"
    assert all(min(line["sources"].values()) <= line["loss"] <= max(line["sources"].values()) for line in mixed)
    assert seen == [(step, 8, "steps") for step in range(1, 9)]
    assert (stats["tokens"], stats["loss_tokens"], stats["parameters"]) == (
        256,
        256,
        tiny_job.model.parameters,
    )
    assert stats["final_loss"] == lines[-1]["loss"]
    assert len((out / "log" / "timings.jsonl").read_text().splitlines()) == 8
    environment = json.loads((out / "log" / "environment.json").read_text())
    assert (environment["threads"], environment["torch"]) == (1, torch.__version__)
    assert environment["precision_reason"]


def test_the_loss_starts_at_chance_and_falls(corpus, tiny_job, run_job, read_metrics):
    """ln 64 for 64 tokens; one batch again and again is learnt by heart."""
    job = attrs.evolve(
        tiny_job,
        schedule=constant(60, 1e-2),
        batches=(BatchPhase(steps=60, global_batch=1, sequence_length=8),),
    )
    blend = corpus.blend(job)
    np.save(blend / "order-0.npy", np.zeros((60, 2), np.int64))
    losses = [line["loss"] for line in read_metrics(run_job(job, blend=blend))]
    assert losses[0] == pytest.approx(np.log(64), abs=0.05)
    assert losses[-1] < 0.1


def test_a_seed_is_the_whole_run(tiny_job, run_job, read_output):
    """The same bytes for the same seed, and other weights for another."""
    first, again = read_output(run_job(tiny_job)), read_output(run_job(tiny_job, "again"))
    other = read_output(run_job(attrs.evolve(tiny_job, seed=8), "other"))
    assert first == again
    assert first["checkpoint/model.safetensors"] != other["checkpoint/model.safetensors"]


def test_the_name_of_a_stage_is_not_in_its_outputs(tiny_job, run_job, read_output):
    """A stage that is renamed is not trained again, so its bytes must not tell."""
    assert read_output(run_job(tiny_job)) == read_output(run_job(attrs.evolve(tiny_job, stage="renamed"), "renamed"))


def test_annealing_goes_on_as_one_long_run(corpus, tiny_job, anneal_job, run_job, read_metrics):
    """Two stages of weights, moments and learning rate equal one stage over both, to the bit."""
    before = run_job(tiny_job)
    after = run_job(anneal_job, "anneal", init=before)
    whole = attrs.evolve(
        tiny_job,
        schedule=tiny_job.schedule + anneal_job.schedule,
        batches=tiny_job.batches + anneal_job.batches,
    )
    phases = json.loads((corpus.blend(tiny_job) / "blend.json").read_text())
    blend = corpus.root / "joined"
    blend.mkdir()
    for number, (source, order) in enumerate(((tiny_job, 0), (tiny_job, 1), (anneal_job, 0))):
        (blend / f"order-{number}.npy").write_bytes((corpus.blend(source) / f"order-{order}.npy").read_bytes())
    extra = {"sequence_length": 8, "instances": 16, "order": "order-2.npy"}
    (blend / "blend.json").write_text(json.dumps(phases | {"phases": [*phases["phases"], extra]}))
    single = run_job(whole, "whole", blend=blend)
    for name in ("checkpoint/model.safetensors", "state/state.safetensors"):
        assert (after / name).read_bytes() == (single / name).read_bytes()
    parts = [(line["loss"], line["lr"]) for out in (before, after) for line in read_metrics(out)]
    assert parts == [(line["loss"], line["lr"]) for line in read_metrics(single)]


def test_annealing_from_a_saved_step_takes_that_one(tiny_job, anneal_job, run_job, read_output):
    """It equals annealing from a run that ended there: the state at step 5 of 8 is that of a run of 5."""
    long = run_job(attrs.evolve(tiny_job, save_at=5))
    short_job = attrs.evolve(
        tiny_job,
        schedule=(tiny_job.schedule[0], *constant(3, 1e-2)),
        batches=tiny_job.batches[:1],
    )
    short = run_job(short_job, "short")
    from_saved = run_job(attrs.evolve(anneal_job, start_step=5), "from-saved", init=long)
    from_end = run_job(anneal_job, "from-end", init=short)
    assert read_output(from_end) == read_output(from_saved)
    with pytest.raises(UserError, match="no readable training state"):
        run_job(attrs.evolve(anneal_job, start_step=6), "from-nothing", init=long)


def test_annealing_from_another_learning_rate_is_refused(tiny_job, anneal_job, run_job):
    """Both rates are in the message."""
    before = run_job(tiny_job)
    phase = attrs.evolve(anneal_job.schedule[0], start=2e-2)
    with pytest.raises(UserError, match=r"starts its schedule at 0.02, the stage before ended at 0.01"):
        run_job(attrs.evolve(anneal_job, schedule=(phase,)), "anneal", init=before)


def test_annealing_from_a_damaged_state_is_refused(tiny_job, anneal_job, run_job):
    """Nothing is trained from half a state."""
    before = run_job(tiny_job)
    with (before / "state" / "state.safetensors").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(UserError, match="damaged training state"):
        run_job(anneal_job, "anneal", init=before)


def test_fine_tuning_takes_weights_and_a_fresh_optimizer(corpus, tiny_job, run_job, read_metrics):
    """Its moments have seen its own two steps only, and it learns the answers of its samples."""
    before = run_job(tiny_job)
    for directory in corpus.tokens:
        np.save(directory / "answer_start.npy", np.array([40, 45, 10, 49], np.int32))
    job = attrs.evolve(
        tiny_job,
        kind="finetune",
        loss_on="answer",
        start_from="weights",
        model=attrs.evolve(tiny_job.model, max_positions=64),
        schedule=constant(2, 1e-3),
        batches=(BatchPhase(steps=2, global_batch=4, sequence_length=50),),
    )
    blend = corpus.blend(job)
    rows = [(n % 2, n // 2) for n in range(8)]
    np.save(blend / "order-0.npy", np.array(rows, np.int64))
    stats = {}
    out = run_job(job, "finetune", init=before, stats=stats)
    _, facts = read_sealed(out / "state")
    assert (facts["optimizer_steps"], facts["step"]) == (2, 2)
    assert stats["loss_tokens"] == 2 * (10 + 5 + 40 + 1)
    zero_rate = run_job(attrs.evolve(job, schedule=constant(2, 0.0)), "still", init=before)
    weights, untouched = load_hf(zero_rate / "checkpoint"), load_hf(before / "checkpoint")
    for new, old in zip(weights.parameters(), untouched.parameters(), strict=True):
        assert torch.equal(new, old)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(tiny_job, run_job, corpus):
    """A huge learning rate; every line that was logged is finite."""
    job = attrs.evolve(tiny_job, schedule=(SchedulePhase(shape="constant", steps=8, start=1e30, end=1e30),))
    with pytest.raises(UserError, match=r"stage pretrain: loss \S+ and gradient norm \S+ at step \d of 8"):
        run_job(job)
    lines = (corpus.root / "run-resume" / "metrics.jsonl").read_text().splitlines()
    assert 1 <= len(lines) < 8
    assert all(np.isfinite(json.loads(line)["loss"]) for line in lines)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parallelism": Parallelism(tensor=2, data=4)}, "wants 8 devices"),
        ({"schedule": constant(7, 1.0)}, "covers 7 steps, the batches 8"),
        ({"micro_batch": 0}, "0 sequences at a time"),
        ({"batches": (), "schedule": ()}, "trains for 0 steps"),
        (
            {"batches": (BatchPhase(steps=8, global_batch=1, sequence_length=33),)},
            "33 tokens a sequence, a model of 32",
        ),
        ({"loss_on": "answer"}, "pretrain data has none"),
        ({"start_from": "weights"}, "starts from weights, and was given no earlier stage"),
        ({"save_at": 9}, "state at step 9 of 8"),
    ],
)
def test_a_job_that_cannot_run_as_written_is_refused(tiny_job, run_job, changes, message):
    """Before anything is read or trained."""
    with pytest.raises(UserError, match=message):
        run_job(attrs.evolve(tiny_job, **changes), blend=None, tokens=None)


def test_an_earlier_stage_that_nobody_asked_for_is_refused(tiny_job, run_job):
    """A random start would throw it away in silence."""
    with pytest.raises(UserError, match="starts from random, and was given the stage"):
        run_job(tiny_job, "second", init=run_job(tiny_job))


def test_auto_is_fp32_without_cuda_and_says_why():
    """An explicit precision is taken as given."""
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    assert (choose_device("auto").precision, choose_device("auto").reason) == ("fp32", "auto: no CUDA device")
    assert choose_device("bf16").precision == "bf16"


def test_bf16_trains_when_asked_for(tiny_job, run_job, read_metrics):
    """Losses within one per cent of fp32's; the weights on disk stay fp32."""
    exact = read_metrics(run_job(tiny_job))
    out = run_job(attrs.evolve(tiny_job, precision="bf16"), "bf16")
    for line, reference in zip(read_metrics(out), exact, strict=True):
        assert line["loss"] == pytest.approx(reference["loss"], rel=0.01)
    assert {weight.dtype for weight in load_hf(out / "checkpoint").parameters()} == {torch.float32}


def test_torchs_switches_are_put_back():
    """Also when the block raises."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with pytest.raises(KeyError), reproducible(before[0] + 1):
        assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (
            before[0] + 1,
            True,
        )
        raise KeyError
    assert before == (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())


@pytest.mark.parametrize(
    "setting", [{"beta1": 0.5}, {"beta2": 0.5}, {"eps": 1e-3}, {"weight_decay": 5.0}, {"clip_norm": 1e-4}]
)
def test_each_optimizer_setting_of_the_job_is_used(tiny_job, run_job, read_metrics, setting):
    """The first loss is the same, the last is not; the logged norm is the one before clipping."""
    plain = read_metrics(run_job(tiny_job))
    changed = read_metrics(run_job(attrs.evolve(tiny_job, optimizer=AdamW(**setting)), "changed"))
    assert plain[0] == changed[0]
    assert plain[-1]["loss"] != changed[-1]["loss"]
    assert changed[0]["grad_norm"] > 1e-2


def test_a_clip_norm_of_zero_clips_nothing(tiny_job, run_job, read_metrics):
    """It equals a limit that no gradient reaches."""
    none, high = (attrs.evolve(tiny_job, optimizer=AdamW(clip_norm=limit)) for limit in (0.0, 1e9))
    assert read_metrics(run_job(none)) == read_metrics(run_job(high, "high"))


def test_the_operator_finds_its_inputs(corpus, tiny_job, run_job, read_output, tmp_path):
    """The same bytes as from a direct call, and the tokenizer's ends of text in the configuration."""
    artefacts = []
    for number, directory in enumerate(corpus.tokens):
        (tmp_path / f"artefact-{number}").mkdir()
        (tmp_path / f"artefact-{number}" / "tokens").symlink_to(directory)
        artefacts.append(Artifact(path=tmp_path / f"artefact-{number}"))
    (tmp_path / "mix").mkdir()
    (tmp_path / "mix" / "blend").symlink_to(corpus.blend(tiny_job))
    (tmp_path / "bpe" / "tokenizer").mkdir(parents=True)
    added = [{"id": 60, "content": "<|endoftext|>"}, {"id": 61, "content": "<|im_end|>"}]
    tokenizer = tmp_path / "bpe" / "tokenizer" / "tokenizer.json"
    tokenizer.write_text(json.dumps({"added_tokens": added}))
    inputs = {
        "tokens": tuple(artefacts),
        "blend": (Artifact(path=tmp_path / "mix"),),
        "tokenizer": (Artifact(path=tmp_path / "bpe"),),
    }
    paths = {name: tmp_path / name for name in ("out", "scratch", "resume", "cache")}
    context = TaskContext(task_id="pretrain/train", inputs=inputs, threads=1, **paths)
    run(types.SimpleNamespace(job=tiny_job), context)
    direct = read_output(run_job(tiny_job))
    through = read_output(context.out)
    assert direct["checkpoint/model.safetensors"] == through["checkpoint/model.safetensors"]
    assert direct["metrics/metrics.jsonl"] == through["metrics/metrics.jsonl"]
    config = json.loads(through["checkpoint/config.json"])
    assert (config["bos_token_id"], config["eos_token_id"]) == (60, 60)
    assert bos_eos(tokenizer, "finetune") == (60, 61)
    assert context.stats["steps"] == 8
