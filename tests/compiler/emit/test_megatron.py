"""Megatron-core's configuration of a job: its own names, and the figures of the job."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import attrs
import pytest

from compiler.emit.megatron import (
    ddp_config,
    gpt_model,
    megatron_json,
    optimizer_config,
    padded_vocab_size,
    transformer_config,
)
from compiler.trainjob import AdamW, BatchPhase, ModelShape, Parallelism, SchedulePhase, TrainJob

SHAPE = ModelShape(
    vocab_size=96_640,
    hidden_size=4096,
    intermediate_size=14_336,
    num_layers=32,
    num_heads=32,
    num_kv_heads=8,
    head_dim=128,
    max_positions=8192,
    rope_theta=500_000.0,
)
JOB = TrainJob(
    stage="pretrain",
    kind="pretrain",
    model=SHAPE,
    schedule=(
        SchedulePhase(shape="linear", steps=2, start=0.0, end=3e-4),
        SchedulePhase(shape="exponential", steps=8, start=3e-4, end=1e-5),
    ),
    batches=(BatchPhase(steps=10, global_batch=8, sequence_length=4096),),
    optimizer=AdamW(beta1=0.8, beta2=0.9, eps=1e-9, weight_decay=0.2, clip_norm=0.5),
    parallelism=Parallelism(tensor=2, pipeline=4, context=8, data=16, sequence_parallel=True),
    precision="bf16",
    backend="megatron",
)


def test_the_shape_of_the_model_has_megatrons_names() -> None:
    """No figure is lost, swapped or invented."""
    config = transformer_config(JOB)
    assert (config["num_layers"], config["hidden_size"], config["ffn_hidden_size"]) == (32, 4096, 14_336)
    assert (config["num_attention_heads"], config["num_query_groups"], config["kv_channels"]) == (32, 8, 128)
    assert gpt_model(JOB) == {
        "vocab_size": 96_640,
        "max_sequence_length": 8192,
        "position_embedding_type": "rope",
        "rotary_base": 500_000,
        "share_embeddings_and_output_weights": False,
    }
    assert type(gpt_model(JOB)["rotary_base"]) is int


def test_the_split_is_the_jobs() -> None:
    """Data parallelism is no field of Megatron's: it is what is left of the world."""
    config = transformer_config(JOB)
    names = ("tensor_model_parallel_size", "pipeline_model_parallel_size", "context_parallel_size", "sequence_parallel")
    assert tuple(config[name] for name in names) == (2, 4, 8, True)
    assert not optimizer_config(JOB)["use_distributed_optimizer"]
    split = attrs.evolve(JOB, parallelism=Parallelism(data=2, distributed_optimizer=True))
    assert optimizer_config(split)["use_distributed_optimizer"]
    assert ddp_config(split)["use_distributed_optimizer"]


def test_the_optimizer_is_the_jobs() -> None:
    """Its highest rate and its last one: the way between them is the schedule's."""
    config = optimizer_config(JOB)
    assert (config["adam_beta1"], config["adam_beta2"], config["adam_eps"]) == (0.8, 0.9, 1e-9)
    assert (config["weight_decay"], config["clip_grad"]) == (0.2, 0.5)
    assert (config["lr"], config["min_lr"]) == (3e-4, 1e-5)


@pytest.mark.parametrize(("precision", "bf16"), [("bf16", True), ("fp32", False), ("auto", False)])
def test_precision_is_a_flag(precision: Any, bf16: bool) -> None:
    """The same one for model and optimizer; what is not settled reads as fp32."""
    job = attrs.evolve(JOB, precision=precision)
    assert transformer_config(job)["bf16"] is bf16
    assert optimizer_config(job)["bf16"] is bf16


@pytest.mark.parametrize(
    ("recompute", "expected"),
    [("none", (None, None, None)), ("selective", ("selective", None, None)), ("full", ("full", "uniform", 1))],
)
def test_recomputation(recompute: Any, expected: tuple[Any, ...]) -> None:
    """Whole layers are computed again one by one; Megatron refuses a method with selective recomputation."""
    config = transformer_config(attrs.evolve(JOB, recompute=recompute))
    assert tuple(config[f"recompute_{name}"] for name in ("granularity", "method", "num_layers")) == expected


@pytest.mark.parametrize(
    ("vocab_size", "tensor", "padded"),
    [(96_640, 1, 96_640), (96_640, 8, 96_640), (513, 1, 513), (513, 2, 768), (50_257, 4, 50_688), (512, 512, 512)],
)
def test_a_vocabulary_is_padded_only_where_ranks_cannot_share_it(vocab_size: int, tensor: int, padded: int) -> None:
    """Weights of Hugging Face have exactly as many rows as the vocabulary."""
    model, split = attrs.evolve(SHAPE, vocab_size=vocab_size), Parallelism(tensor=tensor)
    job = attrs.evolve(JOB, model=model, parallelism=split)
    assert padded_vocab_size(job) == padded
    assert gpt_model(job)["vocab_size"] == padded
    assert json.loads(megatron_json(job))["vocabulary"] == {"vocab_size": vocab_size, "padded_vocab_size": padded}


def test_the_file_says_what_the_functions_return() -> None:
    """One source: a back end that calls them is told what the file shows."""
    sections = json.loads(megatron_json(JOB))
    assert sections["TransformerConfig"] == transformer_config(JOB)
    assert sections["GPTModel"] == gpt_model(JOB)
    assert sections["OptimizerConfig"] == optimizer_config(JOB)
    assert sections["DistributedDataParallelConfig"] == ddp_config(JOB)


def test_it_loads_where_nothing_but_attrs_is() -> None:
    """A training environment has neither the language nor the data engines."""
    code = (
        "import sys, compiler.emit.megatron\n"
        "known = set(sys.stdlib_module_names) | {'compiler', 'attr', 'attrs', '__main__'}\n"
        "files = {n.partition('.')[0] for n, m in sys.modules.items() if getattr(m, '__file__', None)}\n"
        "print(sorted(n for n in files - known if not n.startswith(('_', 'sitecustomize'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


CLASSES = {
    "TransformerConfig": ("megatron.core.transformer.transformer_config", transformer_config),
    "OptimizerConfig": ("megatron.core.optimizer", optimizer_config),
    "DistributedDataParallelConfig": ("megatron.core.distributed", ddp_config),
}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_megatron_takes_it(name: str, recompute: Any) -> None:
    """Its own classes, with their checks, where they are installed."""
    module, configure = CLASSES[name]
    arguments = configure(attrs.evolve(JOB, recompute=recompute))
    cls = getattr(pytest.importorskip(module), name)
    if "activation_func" in arguments:
        import torch

        function = getattr(torch.nn.functional, arguments["activation_func"])
        arguments |= {"activation_func": function, "pipeline_dtype": torch.bfloat16}
    built = cls(**arguments)
    assert {key: getattr(built, key) for key in arguments} == arguments
