"""Megatron-core's configuration of a job: from a TrainJob to the arguments of megatron-core 0.15.3's own classes.

Plain dicts that pass through JSON: no Megatron is imported, so it loads in either environment, and nothing is decided
here that depends on the device. The back ends build their objects from these very functions, and `compile` writes what
they return as `megatron.json`. Two things are for the back end to put in place: `activation_func` is the name of a
function of `torch.nn.functional`, and `bf16` stands for the dtypes that follow from it (`params_dtype`,
`pipeline_dtype`). A job whose precision is `auto` has to be settled first (`attrs.evolve(job, precision=...)`); until
then it reads as fp32, and the files say so. Kernels are probed where the job runs, so no flag of a fused kernel is set
here; Megatron-core's defaults for them are off.
"""

from __future__ import annotations

import json
from typing import Any

from compiler.trainjob import TrainJob

AUTO = "auto: bf16 where the device has it, and then bf16 is true"
"""What the files say of a job whose precision is not settled: there, `bf16` is false."""

VOCABULARY_MULTIPLE = 128
"""Megatron's default of make_vocab_size_divisible_by, per tensor-parallel rank."""

RECOMPUTE: dict[str, dict[str, Any]] = {
    "none": {"recompute_granularity": None, "recompute_method": None, "recompute_num_layers": None},
    "selective": {"recompute_granularity": "selective", "recompute_method": None, "recompute_num_layers": None},
    "full": {"recompute_granularity": "full", "recompute_method": "uniform", "recompute_num_layers": 1},
}


def transformer_config(job: TrainJob) -> dict[str, Any]:
    """Arguments of megatron.core.transformer.TransformerConfig.

    The loss is summed over predicted tokens and divided once by their number in the whole batch
    (`calculate_per_token_loss`), as in our other back ends.
    """
    model, split = job.model, job.parallelism
    return {
        "num_layers": model.num_layers,
        "hidden_size": model.hidden_size,
        "ffn_hidden_size": model.intermediate_size,
        "num_attention_heads": model.num_heads,
        "num_query_groups": model.num_kv_heads,
        "kv_channels": model.head_dim,
        "normalization": "RMSNorm",
        "layernorm_epsilon": model.norm_eps,
        "gated_linear_unit": True,
        "activation_func": "silu",
        "add_bias_linear": False,
        "add_qkv_bias": False,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "init_method_std": model.init_std,
        "calculate_per_token_loss": True,
        "bf16": job.precision == "bf16",
        "tensor_model_parallel_size": split.tensor,
        "pipeline_model_parallel_size": split.pipeline,
        "context_parallel_size": split.context,
        "sequence_parallel": split.sequence_parallel,
        **RECOMPUTE[job.recompute],
    }


def gpt_model(job: TrainJob) -> dict[str, Any]:
    """Arguments of megatron.core.models.gpt.GPTModel beside its configuration and layers.

    `vocab_size` is the padded one. `rotary_base` is whole where it can be: Megatron declares an int.
    """
    theta = job.model.rope_theta
    return {
        "vocab_size": padded_vocab_size(job),
        "max_sequence_length": job.model.max_positions,
        "position_embedding_type": "rope",
        "rotary_base": int(theta) if theta == int(theta) else theta,
        "share_embeddings_and_output_weights": job.model.tied_embeddings,
    }


def padded_vocab_size(job: TrainJob) -> int:
    """Rows of the embedding: as many as the vocabulary has where tensor-parallel ranks share them evenly.

    Otherwise padded as Megatron does, to a multiple of 128 a rank. Padded rows take part in the softmax and are left
    out of exports.
    """
    vocab_size, ranks = job.model.vocab_size, job.parallelism.tensor
    if vocab_size % ranks == 0:
        return vocab_size
    unit = VOCABULARY_MULTIPLE * ranks
    return -(-vocab_size // unit) * unit


def optimizer_config(job: TrainJob) -> dict[str, Any]:
    """Arguments of megatron.core.optimizer.OptimizerConfig.

    `lr` is the highest learning rate of the stage and `min_lr` its last one; what each step uses is the schedule's
    affair. Megatron decays no weights of one dimension, which is what AdamW in a job means.
    """
    optimizer = job.optimizer
    return {
        "optimizer": "adam",
        "lr": max(rate for phase in job.schedule for rate in (phase.start, phase.end)),
        "min_lr": job.schedule[-1].end,
        "adam_beta1": optimizer.beta1,
        "adam_beta2": optimizer.beta2,
        "adam_eps": optimizer.eps,
        "weight_decay": optimizer.weight_decay,
        "decoupled_weight_decay": True,
        "clip_grad": optimizer.clip_norm,
        "use_distributed_optimizer": job.parallelism.distributed_optimizer,
        "bf16": job.precision == "bf16",
    }


def ddp_config(job: TrainJob) -> dict[str, Any]:
    """Arguments of megatron.core.distributed.DistributedDataParallelConfig.

    Gradients are summed in fp32. Nothing overlaps unless the back end says so: overlapping changes no number, but needs
    streams of a device. That a gradient is finite is checked by the job's guard, with the policy that it states.
    """
    return {
        "grad_reduce_in_fp32": True,
        "overlap_grad_reduce": False,
        "overlap_param_gather": False,
        "use_distributed_optimizer": job.parallelism.distributed_optimizer,
        "check_for_nan_in_grad": False,
    }


def megatron_json(job: TrainJob) -> str:
    """What Megatron is told of a job, by the class that takes it."""
    sections = {
        "TransformerConfig": transformer_config(job),
        "GPTModel": gpt_model(job),
        "OptimizerConfig": optimizer_config(job),
        "DistributedDataParallelConfig": ddp_config(job),
        "precision": AUTO if job.precision == "auto" else job.precision,
        "vocabulary": {"vocab_size": job.model.vocab_size, "padded_vocab_size": padded_vocab_size(job)},
    }
    return json.dumps(sections, indent=1) + "\n"
