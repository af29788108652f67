"""Stages follow one another across back ends: pretrain, anneal from its state, tune twice, export."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from compiler.errors import UserError
from compiler.trainjob import BatchPhase, Guard, Parallelism, SchedulePhase, TrainJob
from runtime.training.checkpoint import load_hf
from runtime.training.handover import start_of, weight_sizes
from tests.stacks.bench import JOB, Bench, Ended, largest_difference, write_held_out

PRETRAIN = attrs.evolve(
    JOB,
    stage="pretrain",
    schedule=(
        SchedulePhase(shape="linear", steps=4, start=0.0, end=3e-3),
        SchedulePhase(shape="constant", steps=12, start=3e-3, end=3e-3),
    ),
    batches=(BatchPhase(steps=16, global_batch=8, sequence_length=32),),
    save_at=12,
)
ANNEAL = attrs.evolve(
    PRETRAIN,
    stage="anneal",
    kind="anneal",
    start_from="state",
    start_step=12,
    save_at=None,
    schedule=(SchedulePhase(shape="exponential", steps=8, start=3e-3, end=3e-5),),
    batches=(BatchPhase(steps=8, global_batch=8, sequence_length=64),),
)
TUNE = attrs.evolve(
    ANNEAL,
    stage="sft1",
    kind="finetune",
    start_from="weights",
    start_step=None,
    loss_on="answer",
    schedule=(SchedulePhase(shape="cosine", steps=8, start=1e-3, end=0.0),),
)
CHAINS = {
    "torch": ("torch", "torch", "torch", "torch"),
    "mixed": ("nemo", "torch", "megatron", "nemo"),
    "split": ("megatron", "megatron", "torch", "megatron"),
}
TWO = {"split": (Parallelism(tensor=2), Parallelism(data=2, distributed_optimizer=True), Parallelism(), Parallelism())}


def chain(bench: Bench, name: str) -> list[Ended]:
    """The four stages one after the other, each on a back end of its own."""
    jobs = (PRETRAIN, ANNEAL, TUNE, attrs.evolve(TUNE, stage="sft2", seed=8))
    splits = TWO.get(name, (Parallelism(),) * 4)
    ended: list[Ended] = []
    for job, backend, split in zip(jobs, CHAINS[name], splits, strict=True):
        init = {"init": str(ended[-1].out)} if ended else {}
        placed = attrs.evolve(job, backend=backend, parallelism=split)
        ended.append(bench.trained(f"{name}-{job.stage}", placed, **init))
    return ended


@pytest.mark.parametrize("name", ["mixed", "split"])
def test_every_stage_starts_from_any_back_ends_state(bench, name):
    """Weights, moments, their count and the learning rate: each stage's losses are those of torch alone."""
    for ours, theirs in zip(chain(bench, "torch"), chain(bench, name), strict=True):
        assert largest_difference(ours.losses, theirs.losses) < 2e-6


def test_what_is_exported_is_what_transformers_computes(bench):
    """NeMo's last stage: the logits of transformers' LlamaForCausalLM equal those of our model of the same files."""
    from transformers import LlamaForCausalLM

    checkpoint = chain(bench, "mixed")[-1].out / "checkpoint"
    ids = torch.arange(40).reshape(2, 20) * 7 % 512
    with torch.no_grad():
        theirs = LlamaForCausalLM.from_pretrained(checkpoint, attn_implementation="eager")(ids).logits
        ours = load_hf(checkpoint)(ids)
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(("backend", "split"), [("megatron", Parallelism(pipeline=2)), ("nemo", Parallelism())])
def test_the_model_in_training_scores_text_as_transformers_does(bench, backend, split):
    """Bits per byte at the last step of training: from the exported weights, transformers computes the same."""
    from transformers import LlamaForCausalLM

    held_out, documents = write_held_out(bench.root / "held-out")
    job = attrs.evolve(PRETRAIN, backend=backend, validate_every=8, save_at=None, parallelism=split)
    ended = bench.trained(f"{backend}-validated", job, held_out=str(held_out))
    model = LlamaForCausalLM.from_pretrained(ended.out / "checkpoint", attn_implementation="eager")
    bits = 0.0
    for document in documents:
        ids = torch.from_numpy(document.astype(np.int64))[None]
        with torch.no_grad():
            log_probs = model(ids[:, :-1]).logits.log_softmax(-1)
        bits -= float(log_probs.gather(2, ids[:, 1:, None]).double().sum()) / np.log(2)
    lines = ended.validation
    assert [line["step"] for line in lines] == [8, 16]
    assert lines[-1]["bits_per_byte"] == pytest.approx(bits / lines[-1]["bytes"], rel=1e-5)
    assert lines[-1]["bits_per_byte"] < lines[0]["bits_per_byte"]


def test_a_skipped_step_reads_its_batch_and_changes_nothing(bench):
    """The losses after it are equal on Megatron, too, whose judgement NeMo shares.

    The policy finds fault with ordinary steps.
    """
    guard = Guard(spike="skip", spike_ratio=0.9, window=4, max_skips=50)
    job = attrs.evolve(PRETRAIN, guard=guard, save_at=None)
    names = ("torch", "megatron")
    ended = {name: bench.trained(f"{name}-guarded", attrs.evolve(job, backend=name)) for name in names}
    skipped = {name: [bool(line.get("skipped")) for line in each.metrics] for name, each in ended.items()}
    assert skipped["torch"] == skipped["megatron"]
    assert 0 < sum(skipped["torch"]) < job.steps
    assert largest_difference(ended["torch"].losses, ended["megatron"].losses) < 1e-6


def test_a_stage_of_another_shape_is_refused(bench):
    """By name and size, before anything trains."""
    init = chain(bench, "torch")[0].out
    other: TrainJob = attrs.evolve(TUNE, model=attrs.evolve(TUNE.model, hidden_size=32, head_dim=8))
    start = start_of(other, init, weight_sizes(other.model))
    with pytest.raises(UserError, match=r"the checkpoint has \(512, 64\), the model wants \(512, 32\)"):
        start.tensor("weight", "lm_head.weight")
    assert load_file(init / "checkpoint" / "model.safetensors")["lm_head.weight"].shape == (512, 64)
