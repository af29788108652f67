"""Megatron-core's configuration of a job: its own names, and the figures of the job."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import attrs
import pytest

from compiler.emit.bridge import bridge_config
from compiler.emit.megatron import (
    AUTO,
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


def test_the_file_says_that_a_precision_is_not_settled() -> None:
    """`"bf16": false` alone would read as fp32, which a GPU does not train in."""
    assert json.loads(megatron_json(JOB))["precision"] == "bf16"
    unsettled = json.loads(megatron_json(attrs.evolve(JOB, precision="auto")))
    assert (unsettled["precision"], unsettled["OptimizerConfig"]["bf16"]) == (AUTO, False)


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


PRETRAIN = attrs.evolve(
    JOB,
    schedule=(
        SchedulePhase(shape="linear", steps=2, start=0.0, end=3e-4),
        SchedulePhase(shape="constant", steps=6, start=3e-4, end=3e-4),
    ),
    batches=(
        BatchPhase(steps=3, global_batch=8, sequence_length=64),
        BatchPhase(steps=5, global_batch=4, sequence_length=128),
    ),
)


def cooled(shape: Any, start_step: int | None) -> TrainJob:
    """Annealing of PRETRAIN."""
    decay = SchedulePhase(shape=shape, steps=5, start=3e-4, end=1e-5)
    batches = (BatchPhase(steps=5, global_batch=16, sequence_length=128),)
    split = {"start_from": "state", "start_step": start_step}
    return attrs.evolve(JOB, stage="anneal", schedule=(decay,), batches=batches, **split)


@pytest.mark.parametrize(
    ("job", "before"),
    [
        (PRETRAIN, ()),
        (cooled("linear", None), (PRETRAIN,)),
        (cooled("linear", 5), (PRETRAIN,)),
        (cooled("cosine", 8), (PRETRAIN,)),
    ],
)
def test_megatrons_scheduler_goes_where_the_job_does(job: TrainJob, before: tuple[TrainJob, ...]) -> None:
    """In every launch of Bridge, from the samples that its checkpoint has counted: one step behind."""
    module = pytest.importorskip("megatron.core.optimizer_param_scheduler")
    import torch

    from runtime.training.schedule import learning_rate

    step, samples = 0, sum(batch.global_batch for batch in steps_of(before, job.start_step))
    for number, batch in enumerate(job.batches):
        config = bridge_config(job, number, before)
        scheduler = scheduler_of(module, torch.optim.SGD([torch.zeros(1)], lr=1.0), config)
        for _ in range(batch.steps):
            scheduler.num_steps = samples
            expected = learning_rate(job.schedule, step - 1) if step else job.schedule[0].start
            assert scheduler.get_lr({}) == pytest.approx(expected, abs=1e-12)
            step, samples = step + 1, samples + batch.global_batch
        assert config["train"]["train_samples"] >= samples


def steps_of(before: tuple[TrainJob, ...], count: int | None) -> list[BatchPhase]:
    """The batch of each of the first steps of the job before."""
    return [job.batch_phase(step) for job in before for step in range(job.steps if count is None else count)]


def scheduler_of(module: Any, optimizer: Any, config: dict[str, Any]) -> Any:
    """As Bridge makes it from its sections, with sample counts for steps."""
    scheduler, rates = config["scheduler"], config["optimizer"]
    return module.OptimizerParamScheduler(
        optimizer,
        init_lr=scheduler["lr_warmup_init"],
        max_lr=rates["lr"],
        min_lr=rates["min_lr"],
        lr_warmup_steps=scheduler["lr_warmup_samples"],
        lr_decay_steps=scheduler["lr_decay_samples"],
        lr_decay_style=scheduler["lr_decay_style"],
        start_wd=rates["weight_decay"],
        end_wd=rates["weight_decay"],
        wd_incr_steps=config["train"]["train_samples"],
        wd_incr_style="constant",
        use_checkpoint_opt_param_scheduler=False,
        override_opt_param_scheduler=scheduler["override_opt_param_scheduler"],
        wsd_decay_steps=scheduler.get("lr_wsd_decay_samples"),
        lr_wsd_decay_style=scheduler.get("lr_wsd_decay_style"),
    )
