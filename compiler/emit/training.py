"""Training configs: a TrainJob as JSON for every back end, and in the words of the back end that is to train it."""

from __future__ import annotations

import json

from compiler.emit.megatron import megatron_json
from compiler.ir import Operator
from compiler.plan import CONVERTER
from compiler.trainjob import TrainJob


def training_configs(op: Operator) -> dict[str, str]:
    """The files of a training operator by name; none for others."""
    job = getattr(op, "job", None)
    if not isinstance(job, TrainJob):
        return {}
    described = {
        **CONVERTER.unstructure(job),
        "steps": job.steps,
        "tokens": job.tokens,
        "parameters": job.model.parameters,
        "devices": job.parallelism.devices,
    }
    files = {"job.json": json.dumps(described, indent=1, sort_keys=True) + "\n"}
    if job.backend in {"nemo", "megatron"}:
        files["megatron.json"] = megatron_json(job)
    if job.backend == "nemo":
        files["nemo.yaml"] = nemo_yaml(job)
    return files


def nemo_yaml(job: TrainJob) -> str:
    """The settings of `nemo.collections.llm` (2.7) that follow from a job, one line each, named as NeMo names them.

    Megatron's `exponential` decay is another curve than ours, so the schedule is given as its phases.
    """
    model, split, batch = job.model, job.parallelism, job.batches[-1]
    schedule = [
        f"    - {{shape: {p.shape}, steps: {p.steps}, start: {p.start!r}, end: {p.end!r}}}" for p in job.schedule
    ]
    phases = [
        f"    - {{steps: {b.steps}, global_batch_size: {b.global_batch}, seq_length: {b.sequence_length}}}"
        for b in job.batches
    ]
    lines = [
        "model:  # nemo.collections.llm.LlamaConfig",
        f"  num_layers: {model.num_layers}",
        f"  hidden_size: {model.hidden_size}",
        f"  ffn_hidden_size: {model.intermediate_size}",
        f"  num_attention_heads: {model.num_heads}",
        f"  num_query_groups: {model.num_kv_heads}",
        f"  kv_channels: {model.head_dim}",
        f"  rotary_base: {model.rope_theta!r}",
        f"  layernorm_epsilon: {model.norm_eps!r}",
        f"  init_method_std: {model.init_std!r}",
        f"  seq_length: {batch.sequence_length}",
        f"  share_embeddings_and_output_weights: {str(model.tied_embeddings).lower()}",
        "data:  # nemo.collections.llm.PreTrainingDataModule",
        f"  micro_batch_size: {job.micro_batch}",
        "  phases:",
        *phases,
        "optim:  # megatron.core OptimizerConfig",
        "  optimizer: adam",
        f"  adam_beta1: {job.optimizer.beta1!r}",
        f"  adam_beta2: {job.optimizer.beta2!r}",
        f"  adam_eps: {job.optimizer.eps!r}",
        f"  weight_decay: {job.optimizer.weight_decay!r}",
        f"  clip_grad: {job.optimizer.clip_norm!r}",
        f"  use_distributed_optimizer: {str(split.distributed_optimizer).lower()}",
        "  schedule:",
        *schedule,
        "strategy:  # nemo.lightning.MegatronStrategy",
        f"  tensor_model_parallel_size: {split.tensor}",
        f"  pipeline_model_parallel_size: {split.pipeline}",
        f"  context_parallel_size: {split.context}",
        f"  sequence_parallel: {str(split.sequence_parallel).lower()}",
        "trainer:  # nemo.lightning.Trainer",
        f"  max_steps: {job.steps}",
        f"  num_nodes: {split.nodes}",
        f"  devices: {split.devices // split.nodes}  # on each node",
        f"  precision: {'32-true' if job.precision == 'fp32' else 'bf16-mixed'}",
        f"seed: {job.seed}",
        f"start_from: {job.start_from}",
    ]
    return "\n".join(lines) + "\n"
