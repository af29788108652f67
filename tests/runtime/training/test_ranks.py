"""Several processes train one model: the losses of one, exact resuming, and no rank waits for one that is gone."""

from __future__ import annotations

import json
import socket

import attrs
import cattrs
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from compiler.errors import UserError
from compiler.trainjob import BatchPhase, Parallelism, SchedulePhase
from runtime.launch import Lost
from runtime.training import ranks as module
from runtime.training.data import IGNORE, Batch
from runtime.training.ranks import LOOK_AGAIN, Ranks
from runtime.training.torch_backend import check_job

STEPS = 24
# Relative, in fp32. Measured over these steps: 1.8e-8 for losses, 1.4e-7 for gradient norms.
BOUND = 1e-6
IDLE_S = LOOK_AGAIN.total_seconds()  # a rank that only looks again notices after so long; these take a second or two
WEIGHTS, MOMENTS = "{}/checkpoint/model.safetensors", "{}/state/state.safetensors"


@pytest.fixture
def job(tiny_job):
    """So many steps of eight sequences."""
    schedule = (SchedulePhase(shape="constant", steps=STEPS, start=1e-2, end=1e-2),)
    batches = (BatchPhase(steps=STEPS, global_batch=8, sequence_length=8),)
    return attrs.evolve(tiny_job, schedule=schedule, batches=batches)


@pytest.fixture
def run_groups(corpus, job, run_script):
    """Run groups of ranks in order, each given as (name, ranks, what happens).

    `ranks` is their number, or a `Parallelism`; "stop" and the like happen, and `changes` are to the job.
    """

    def one(job, name, split, changes=None, **events):
        split = split if isinstance(split, Parallelism) else Parallelism(data=split)
        return {
            "job": cattrs.unstructure(attrs.evolve(job, parallelism=split, **changes or {})),
            "out": str(corpus.root / name),
            "resume": str(corpus.root / f"{name}-resume"),
            **events,
        }

    def run(*groups, job=job):
        listed = [one(job, name, split, **events) for name, split, events in groups]
        arguments = {
            "tokens": [str(path) for path in corpus.tokens],
            "blend": str(corpus.blend(job)),
            "groups": listed,
        }
        file = corpus.root / "arguments.json"
        file.write_text(json.dumps(arguments))
        ended = [json.loads(line) for line in run_script("ranked_run", str(file)).splitlines()]
        assert len(ended) == len(groups)
        return ended

    return run


def differences(lines, reference, key="loss"):
    """The largest relative difference of a figure over the steps."""
    assert len(lines) == len(reference) > 0
    return max(abs(a[key] / b[key] - 1) for a, b in zip(lines, reference, strict=True))


def test_several_ranks_train_as_one(corpus, run_groups, read_metrics, read_output):
    """Losses and gradient norms of 2 and 4 ranks are those of one, also where it stopped and two went on."""
    ended = run_groups(
        ("one", 1, {}), ("two", 2, {}), ("four", 4, {}), ("mixed", 1, {"stop": [0, 15]}), ("mixed", 2, {})
    )
    assert [group["codes"] for group in ended] == [[0], [0, 0], [0] * 4, [75], [0, 0]]
    one = read_metrics(corpus.root / "one")
    for name in ("two", "four", "mixed"):
        other = read_metrics(corpus.root / name)
        assert differences(other, one) < BOUND
        assert differences(other, one, "grad_norm") < BOUND
        assert [line["tokens"] for line in other] == [line["tokens"] for line in one]
        environment = json.loads((corpus.root / name / "log" / "environment.json").read_text())
        assert environment["ranks"] == {"two": 2, "four": 4, "mixed": 2}[name]
    assert read_metrics(corpus.root / "mixed")[:15] == one[:15]
    assert not list(corpus.root.glob("*-rank-*")), "only rank 0 writes"


OPTIMIZER, EVERYTHING = Parallelism(data=2, distributed_optimizer=True), Parallelism(data=2, fully_sharded=True)


def test_ranks_that_hold_parts_train_as_one(corpus, run_groups, read_metrics):
    """With the optimizer split and with everything split, in one micro batch and in several; 4 ranks, 63 rows to share.

    What is said of the split is in the log; weights and moments on disk are whole, close to those of one rank.
    """
    ended = run_groups(
        ("one", 1, {}),
        ("optimizer", OPTIMIZER, {}),
        ("everything", EVERYTHING, {}),
        ("alone", OPTIMIZER, {"changes": {"micro_batch": 4, "recompute": "full"}}),
        ("four", attrs.evolve(EVERYTHING, data=4), {"changes": {"recompute": "selective"}}),
    )
    assert [group["codes"] for group in ended] == [[0], [0, 0], [0, 0], [0, 0], [0] * 4], [g["said"] for g in ended]
    one = read_metrics(corpus.root / "one")
    weights, moments = load_file(corpus.root / WEIGHTS.format("one")), load_file(corpus.root / MOMENTS.format("one"))
    for name in ("optimizer", "everything", "alone", "four"):
        other = read_metrics(corpus.root / name)
        assert differences(other, one) < BOUND
        assert differences(other, one, "grad_norm") < BOUND
        environment = json.loads((corpus.root / name / "log" / "environment.json").read_text())
        assert environment["split"] == ("optimizer" if name in ("optimizer", "alone") else "everything")
        assert apart(load_file(corpus.root / WEIGHTS.format(name)), weights) < 1e-4
        assert apart(load_file(corpus.root / MOMENTS.format(name)), moments) < 1e-4


def test_a_rank_holds_its_part_only(run_groups, job):
    """Of weights and of both moments, after a step; the rows of an odd vocabulary are 33 and 32, of two matrices."""
    odd = attrs.evolve(job.model, vocab_size=65)
    changes = {"changes": {"model": odd}, "holds": True}
    ended = run_groups(("optimizer", OPTIMIZER, changes), ("everything", EVERYTHING, changes), ("whole", 2, changes))
    assert [group["codes"] for group in ended] == [[0, 0]] * 3
    for group in ended[:2]:
        less, more = sorted(json.loads(line) for line in group["said"])
        assert (less[1], more[1]) == (2 * less[0], 2 * more[0])
        assert (less[0] + more[0], more[0] - less[0]) == (odd.parameters, 2 * odd.hidden_size)
    assert {tuple(json.loads(line)) for line in ended[2]["said"]} == {(odd.parameters, 2 * odd.parameters)}


def test_a_run_goes_on_split_in_another_way(corpus, run_groups, read_metrics):
    """From 1 rank to 2 that hold parts, to one alone, to 2 that hold less, to 2 that hold all; losses within BOUND."""
    ended = run_groups(
        ("one", 1, {}),
        ("mixed", 1, {"stop": [0, 4]}),
        ("mixed", EVERYTHING, {"stop": [1, 5]}),
        ("mixed", 1, {"stop": [0, 5]}),
        ("mixed", OPTIMIZER, {"stop": [0, 5]}),
        ("mixed", 2, {}),
    )
    assert [group["codes"] for group in ended] == [[0], [75], [75, 75], [75], [75, 75], [0, 0]]
    one, mixed = (read_metrics(corpus.root / name) for name in ("one", "mixed"))
    assert differences(mixed, one) < BOUND
    assert differences(mixed, one, "grad_norm") < BOUND


@pytest.mark.parametrize("split", [OPTIMIZER, EVERYTHING])
def test_ranks_that_hold_parts_go_on_to_the_same_bytes(corpus, run_groups, read_output, split):
    """Stopped twice, with a state kept for a following stage; and the loss of a rank is noticed."""
    kept = {"changes": {"save_at": 12}}
    ended = run_groups(
        ("unbroken", split, kept),
        ("stopped", split, {**kept, "stop": [1, 7]}),
        ("stopped", split, {**kept, "stop": [0, 9]}),
        ("stopped", split, kept),
        ("lost", split, {"kill": [1, 3]}),
    )
    assert [group["codes"] for group in ended] == [[0, 0], [75, 75], [75, 75], [0, 0], [69, -9]]
    assert "state/step-0000000012/state.safetensors" in read_output(corpus.root / "unbroken")
    assert read_output(corpus.root / "stopped") == read_output(corpus.root / "unbroken")
    assert ended[4]["said"][0].startswith("lost the other ranks: ")


def apart(tensors, reference):
    """The largest difference of two sets of tensors, relative to the largest number of each."""
    assert set(tensors) == set(reference) and len(tensors) > 0
    return max(float((tensors[name] - wanted).abs().max() / wanted.abs().max()) for name, wanted in reference.items())


def test_ranks_that_are_stopped_go_on_to_the_same_bytes(corpus, run_groups, read_output):
    """One rank is asked, all stop at that step; before the first step nothing is saved; no checkpoint was asked for."""
    ended = run_groups(
        ("unbroken", 2, {}),
        ("stopped", 2, {"stop": [1, 0]}),
        ("stopped", 2, {"stop": [1, 7]}),
        ("stopped", 2, {"stop": [0, 9]}),  # of this attempt: step 16
        ("stopped", 2, {}),
    )
    assert [group["codes"] for group in ended] == [[0, 0], [75, 75], [75, 75], [75, 75], [0, 0]]
    said = [set(group["said"]) for group in ended[1:4]]
    assert said == [{f"stopped on request after step {step}; run again to go on"} for step in (0, 7, 16)]
    assert read_output(corpus.root / "stopped") == read_output(corpus.root / "unbroken")


def test_a_rank_without_a_token_to_learn_from_takes_part(corpus, run_groups, job, read_metrics):
    """Answers of very unequal length: each token counts the same, wherever it is."""
    for directory in corpus.tokens:
        np.save(directory / "answer_start.npy", np.array([10, 45, 60, 49], np.int32))
    fine = attrs.evolve(
        job,
        kind="finetune",
        loss_on="answer",
        model=attrs.evolve(job.model, max_positions=64),
        schedule=(SchedulePhase(shape="constant", steps=3, start=1e-2, end=1e-2),),
        batches=(BatchPhase(steps=3, global_batch=2, sequence_length=50),),
    )
    rows = [(0, 0), (1, 2), (0, 2), (1, 1), (0, 3), (1, 0)]  # sample 2 has no answer
    np.save(corpus.blend(fine) / "order-0.npy", np.array(rows, np.int64))
    ended = run_groups(("one", 1, {}), ("two", 2, {}), job=fine)
    assert [group["codes"] for group in ended] == [[0], [0, 0]]
    assert differences(read_metrics(corpus.root / "two"), read_metrics(corpus.root / "one")) < BOUND


def test_a_rank_that_is_gone_ends_the_others_in_seconds(run_groups, job):
    """It says why, and the others that they lost it; where rank 0 finds the work done, all end well."""
    six = attrs.evolve(job, batches=(attrs.evolve(job.batches[0], global_batch=6),))
    ended = run_groups(
        ("a", 2, {"raise": [1, 3]}),
        ("b", 2, {"raise": [0, 3]}),
        ("c", 3, {"kill": [2, 3]}),
        ("d", 2, {"broken": True}),
        ("e", 3, {"idle": True}),
        job=six,
    )
    assert [group["codes"] for group in ended] == [[69, 1], [1, 69], [69, 69, -9], [1, 69], [0, 0, 0]]
    assert "rank 1 does not like step 3" in ended[0]["said"]
    assert sum(line.startswith("lost the other ranks: ") for line in ended[2]["said"]) == 2
    assert "lost the other ranks: rank 0 failed before the training began" in ended[3]["said"]
    assert max(group["seconds"] for group in ended) < IDLE_S


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parallelism": Parallelism(data=2)}, r"wants 2 devices \(parallelism.data\), and runs in 1 processes"),
        ({"parallelism": Parallelism(pipeline=2, data=2)}, "wants 4 devices, 2 of them pipeline parallel"),
    ],
)
def test_a_job_that_does_not_fit_its_processes_is_refused(tiny_job, run_job, changes, message):
    """Before anything is read or trained."""
    with pytest.raises(UserError, match=message):
        run_job(attrs.evolve(tiny_job, **changes), blend=None, tokens=None)


def test_a_batch_that_cannot_be_shared_is_refused(job):
    """With the numbers."""
    with pytest.raises(UserError, match="3 devices cannot share the 8 sequences of a batch evenly"):
        check_job(attrs.evolve(job, parallelism=Parallelism(data=3)), None, 3)


def test_the_parts_of_a_batch_are_the_batch():
    """In order, each sequence once."""
    ids = np.arange(24).reshape(6, 4)
    batch = Batch(ids, np.where(ids % 3 == 0, IGNORE, ids), np.arange(6) % 2, ("a", "b"))
    parts = [batch.part(number, 3) for number in range(3)]
    assert np.array_equal(np.concatenate([part.ids for part in parts]), ids)
    assert np.array_equal(np.concatenate([part.sources for part in parts]), batch.sources)
    assert sum(part.loss_tokens for part in parts) == batch.loss_tokens
    assert batch.part(0, 1).ids.base is not None


def test_one_rank_needs_no_group():
    """Every call answers for this process alone."""
    ranks, parameter = Ranks.one(), torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    with ranks, ranks.group(torch.device("cpu")):
        ranks.begin()
        ranks.add_gradients([parameter])
        ranks.share([parameter])
        ranks.barrier()
        assert (ranks.sum(2.5), ranks.any(True), ranks.any(False), ranks.agree(7)) == (2.5, True, False, 7)
    assert parameter.grad.tolist() == [1, 1] and not torch.distributed.is_initialized()


def test_gradients_are_added_up_in_buckets_of_some_size(monkeypatch):
    """All of them, in order, and a large one alone."""
    monkeypatch.setattr(module, "BUCKET", 10)
    sizes = [[4, 4, 4], [12], [3, 9], [1]]
    gradients = [torch.zeros(size) for bucket in sizes for size in bucket]
    assert [[gradient.numel() for gradient in bucket] for bucket in module._buckets(gradients)] == sizes


def test_a_port_that_is_taken_is_rank_0s_own_trouble():
    """Not the others', whose logs would say nothing; with the port and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environ = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
        with pytest.raises(UserError, match=f"port {port}") as caught:
            Ranks.meet({**environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)})
    assert not isinstance(caught.value, Lost)
