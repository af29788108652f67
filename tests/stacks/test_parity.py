"""One job, three back ends, the same loss; and whatever the split, the same loss."""

from __future__ import annotations

import json

import attrs
import numpy as np
import pytest
from safetensors.numpy import load_file

from compiler.trainjob import Parallelism
from runtime.training.schedule import learning_rate
from tests.stacks.bench import JOB, Bench, Ended, largest_difference

BOUND = 1e-6  # measured: 3e-7 at most; single precision over 50 steps of a loss that falls to a twentieth

SPLITS = {
    "tensor": Parallelism(tensor=2),
    "sequence": Parallelism(tensor=2, sequence_parallel=True),
    "pipeline": Parallelism(pipeline=2),
    "data": Parallelism(data=2, distributed_optimizer=True),
}


@pytest.fixture(scope="session")
def reference(bench: Bench) -> Ended:
    """The job on plain torch."""
    return bench.trained("torch", JOB)


def tensors(ended: Ended) -> dict[str, np.ndarray]:
    """Weights and moments that a run left."""
    return {
        **load_file(ended.out / "checkpoint" / "model.safetensors"),
        **load_file(ended.out / "state" / "state.safetensors"),
    }


def farthest(ended: Ended, other: Ended) -> float:
    """The largest difference of any weight or moment, over the largest number of its tensor."""
    ours, theirs = tensors(ended), tensors(other)
    assert ours.keys() == theirs.keys()
    return max(float(np.abs(ours[name] - theirs[name]).max() / np.abs(ours[name]).max()) for name in ours)


@pytest.mark.parametrize("backend", ["megatron", "nemo"])
def test_three_back_ends_have_the_same_loss(bench, reference, backend):
    """At every step, from the same first weights and batches; and they leave the same weights and moments."""
    ended = bench.trained(backend, attrs.evolve(JOB, backend=backend))
    assert largest_difference(reference.losses, ended.losses) < BOUND
    assert farthest(reference, ended) < 1e-4
    assert [line["sources"].keys() for line in ended.metrics] == [line["sources"].keys() for line in reference.metrics]
    facts = [json.loads((each.out / "state" / "state.json").read_text()) for each in (reference, ended)]
    assert facts[0]["optimizer_steps"] == facts[1]["optimizer_steps"] == JOB.steps
    assert facts[0]["learning_rate"] == facts[1]["learning_rate"] == learning_rate(JOB.schedule, JOB.steps - 1)


@pytest.mark.parametrize("split", SPLITS)
def test_megatron_has_the_same_loss_however_it_is_split(bench, reference, split):
    """Over two ranks on Gloo; what they leave is whole."""
    ended = bench.trained(f"megatron-{split}", attrs.evolve(JOB, backend="megatron", parallelism=SPLITS[split]))
    assert largest_difference(reference.losses, ended.losses) < BOUND
    assert farthest(reference, ended) < 1e-4


def test_nemo_has_the_same_loss_on_two_ranks(bench, reference):
    """Each matrix over both, the optimizer's state whole."""
    ended = bench.trained("nemo-tensor", attrs.evolve(JOB, backend="nemo", parallelism=Parallelism(tensor=2)))
    assert largest_difference(reference.losses, ended.losses) < BOUND


@pytest.mark.parametrize("backend", ["megatron", "nemo"])
def test_bf16_is_bf16(bench, reference, backend):
    """Weights in float32 beside a model in bf16: another loss than in fp32, near it; the state has float32."""
    ended = bench.trained(f"{backend}-bf16", attrs.evolve(JOB, backend=backend, precision="bf16"))
    assert 1e-4 < largest_difference(reference.losses, ended.losses) < 0.05
    assert {tensor.dtype for tensor in tensors(ended).values()} == {np.dtype("float32")}


def test_the_kernels_and_why_are_in_the_manifest(bench):
    """And in log/environment.json."""
    ended = bench.trained("megatron", attrs.evolve(JOB, backend="megatron"))
    written = json.loads((ended.out / "log" / "environment.json").read_text())["kernels"]
    assert ended.stats["kernels"] == written
    assert written["chosen"] == "portable"
    assert "cpu" in written["reason"]
    assert written["given_up"]
