"""NeMo's settings of a job (`nemo.collections.llm`, 2.7), as YAML that a person can hold against NeMo's own recipes.

Not read by anything: the back end is handed the job itself, and builds NeMo's objects from the same functions. Names
are NeMo's where NeMo has one; sections that it has none for (`schedule`, `guard`, `start`) are the job's, since the
back end brings its own for them.
"""

from __future__ import annotations

from typing import Any

import attrs

from compiler.emit.megatron import AUTO, ddp_config, gpt_model, optimizer_config, transformer_config
from compiler.emit.yaml import yaml_text
from compiler.trainjob import TrainJob

SPLIT = (
    "tensor_model_parallel_size",
    "pipeline_model_parallel_size",
    "context_parallel_size",
    "sequence_parallel",
)
"""What NeMo's strategy takes, and sets in the model's configuration itself."""

COMMENTS = {
    "model": "nemo.collections.llm.LlamaConfig",
    "data": "The draw of the stage (blend.json, order files) says which sequence is when; shares are for the reader.",
    "optim": "megatron.core.optimizer.OptimizerConfig, in nemo.lightning.MegatronOptimizerModule",
    "schedule": "The job's phases: NeMo has no exponential decay, and Megatron's of that name is another curve.",
    "strategy": "nemo.lightning.MegatronStrategy",
    "trainer": "nemo.lightning.Trainer",
    "checkpoint": "nemo.lightning.ModelCheckpoint",
    "guard": "What becomes of losses that are not finite, or jump.",
    "start": "What the stage takes of the one before.",
}

FOLLOWS_PRECISION = ("model.bf16", "optim.bf16", "trainer.precision")


def nemo_yaml(job: TrainJob) -> str:
    """All that the job says, in sections by who takes it."""
    unsettled = dict.fromkeys(FOLLOWS_PRECISION, AUTO) if job.precision == "auto" else {}
    return yaml_text(nemo_settings(job), COMMENTS | unsettled)


def nemo_settings(job: TrainJob) -> dict[str, Any]:
    """The same as plain data."""
    split = job.parallelism
    transformer = transformer_config(job)
    return {
        "model": _model(job, {key: value for key, value in transformer.items() if key not in SPLIT}),
        "data": _data(job),
        "optim": optimizer_config(job),
        "schedule": [attrs.asdict(phase) for phase in job.schedule],
        "strategy": {**{key: transformer[key] for key in SPLIT}, "ddp": ddp_config(job)},
        "trainer": {
            "max_steps": job.steps,
            "num_nodes": split.nodes,
            "devices": split.devices // split.nodes,
            "precision": {"fp32": "32-true", "bf16": "bf16-mixed"}.get(job.precision, "auto"),
        },
        "checkpoint": {"every_n_train_steps": job.checkpoint_every or job.steps, "save_at": job.save_at},
        "kernels": job.kernels,
        "guard": attrs.asdict(job.guard),
        "validate_every": job.validate_every,
        "seed": job.seed,
        "start": {"from": job.start_from, "step": job.start_step},
    }


def _model(job: TrainJob, transformer: dict[str, Any]) -> dict[str, Any]:
    """A configuration of NeMo's has what Megatron splits into a transformer and a model."""
    model = gpt_model(job)
    return {
        **transformer,
        "vocab_size": model["vocab_size"],
        "seq_length": model["max_sequence_length"],
        "position_embedding_type": model["position_embedding_type"],
        "rotary_base": model["rotary_base"],
        "share_embeddings_and_output_weights": model["share_embeddings_and_output_weights"],
    }


def _data(job: TrainJob) -> dict[str, Any]:
    """One data module a phase: sequences of a blend, or samples whose loss is on the answer."""
    return {
        "module": "FineTuningDataModule" if job.kind == "finetune" else "PreTrainingDataModule",
        "micro_batch_size": job.micro_batch,
        "loss_on": job.loss_on,
        "phases": [
            {"steps": b.steps, "global_batch_size": b.global_batch, "seq_length": b.sequence_length}
            for b in job.batches
        ],
        "blend": {part.dataset: part.share for part in job.blend},
    }
