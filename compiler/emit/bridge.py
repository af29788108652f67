"""Megatron-Bridge's configuration of a job: what NeMo's successor would be started with, as YAML.

**Nothing here has been run with Bridge.** Bridge 0.6.2 does not import without Transformer Engine. What is checked is
that every key is a field of the class that it is given to (`scripts/check_bridge_config.py`, for megatron-bridge 0.6.2
and megatron-core 0.19.2), so this is a road for whoever has the container, and not a back end.

A launch of Bridge has one sequence length and one batch size, so a job of several phases is several files, one for each
launch. What Bridge cannot say is said in a comment where the value would be. Paths come from the environment:
`OCSPEC_TOKENS/DATASET/tokens` (.bin, .idx) or, for tuning, `OCSPEC_PAIRS`, a directory with `training.jsonl`;
`OCSPEC_TOKENIZER`, `OCSPEC_INIT` (the checkpoint of the stage before) and `OCSPEC_OUT`.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from compiler.emit.megatron import ddp_config, gpt_model, optimizer_config, padded_vocab_size, transformer_config
from compiler.emit.yaml import yaml_text
from compiler.trainjob import TrainJob

CONFIG = "megatron.bridge.training.config"
HEAD = """\
Megatron-Bridge 0.6.2: megatron.bridge.training.config.ConfigContainer. Never run; its keys are checked against
Bridge's classes. Paths come from the environment variables OCSPEC_*.
Order of samples: Bridge draws its own from the same shares; ocspec's draw (blend.json) is not used."""
EXPONENTIAL = """\
NOT THE JOB'S CURVE. The job decays as start * (end/start) ** progress; Megatron's "exponential" is
end + (2 * 0.5 ** progress - 1) * (start - end), far above it for most of the way. Bridge has no other."""
ONE_STEP_BEHIND = """\
Megatron's rate of a step is the job's of the step before: it starts to count at 0, the job at 1."""
SAMPLES = """\
Megatron counts a schedule in samples: where launches differ in global_batch_size, this count is of this launch's."""

GUARD = "Bridge can stop at a loss that is not finite, and skips no step."


def bridge_configs(job: TrainJob) -> dict[str, str]:
    """Files by name: `bridge.yaml`, and for each phase of batches after the first `bridge-2.yaml` ..."""
    launches = range(len(job.batches))
    return {f"bridge{f'-{n + 1}' if n else ''}.yaml": _launch(job, n) for n in launches}


def _launch(job: TrainJob, number: int) -> str:
    config, comments = bridge_config(job, number), bridge_comments(job, number)
    head = HEAD
    if len(job.batches) > 1:
        head += (
            f"\nLaunch {number + 1} of {len(job.batches)}: one for each phase of batches, from the state of the last."
        )
    return yaml_text(config, comments, head)


def bridge_config(job: TrainJob, number: int = 0) -> dict[str, Any]:
    """The ConfigContainer of launch `number` (0-based), with the class of each section as its `_target_`."""
    batch = job.batches[number]
    return {
        "_target_": f"{CONFIG}.ConfigContainer",
        "model": _model(job, batch.sequence_length),
        "train": {
            "_target_": f"{CONFIG}.TrainingConfig",
            "train_iters": _first_iteration(job) + sum(b.steps for b in job.batches[: number + 1]),
            "global_batch_size": batch.global_batch,
            "micro_batch_size": job.micro_batch,
        },
        "validation": {"_target_": "megatron.training.config.ValidationConfig", "eval_iters": 0},
        "optimizer": {"_target_": f"{CONFIG}.OptimizerConfig", **optimizer_config(job)},
        "scheduler": _scheduler(job),
        "ddp": {"_target_": f"{CONFIG}.DistributedDataParallelConfig", **ddp_config(job)},
        "dataset": _pairs(job) if job.kind == "finetune" else _blend(job, batch.sequence_length),
        "tokenizer": {
            "_target_": "megatron.bridge.training.tokenizers.config.TokenizerConfig",
            "tokenizer_type": "HuggingFaceTokenizer",
            "tokenizer_model": "${oc.env:OCSPEC_TOKENIZER}",
        },
        "checkpoint": _checkpoint(job, number),
        "rng": {"_target_": "megatron.training.config.RNGConfig", "seed": job.seed},
        "rerun_state_machine": {
            "_target_": f"{CONFIG}.RerunStateMachineConfig",
            "check_for_nan_in_loss": job.guard.not_finite == "stop",
        },
        "logger": {"_target_": f"{CONFIG}.LoggerConfig", "log_interval": 1},
        "mixed_precision": "bf16_mixed" if job.precision == "bf16" else None,
    }


def _model(job: TrainJob, sequence_length: int) -> dict[str, Any]:
    """The provider of a GPT takes Megatron's transformer and model in one; Bridge pads the vocabulary itself."""
    transformer, model = transformer_config(job), gpt_model(job)
    del model["max_sequence_length"]  # Bridge takes seq_length for it
    return {
        "_target_": "megatron.bridge.models.gpt_provider.GPTModelProvider",
        **transformer,
        "activation_func": {"_target_": "torch.nn.functional.silu", "_call_": False},
        **model,
        "vocab_size": job.model.vocab_size,
        "should_pad_vocab": padded_vocab_size(job) != job.model.vocab_size,
        "seq_length": sequence_length,
    }


def _scheduler(job: TrainJob) -> dict[str, Any]:
    """A linear warm-up and what follows it, in iterations from the start of the stage."""
    first, last = job.schedule[0], job.schedule[-1]
    warmup = first.steps if first.shape == "linear" and len(job.schedule) > 1 else 0
    style: dict[str, Any] = {"lr_decay_style": last.shape}
    if last.shape == "exponential":
        style = {
            "lr_decay_style": "WSD",
            "lr_wsd_decay_style": "exponential",
            "lr_wsd_decay_iters": last.steps,
        }
    return {
        "_target_": f"{CONFIG}.SchedulerConfig",
        "lr_warmup_iters": warmup,
        "lr_warmup_init": first.start if warmup else 0.0,
        "lr_decay_iters": _first_iteration(job) + job.steps,
        **style,
        "override_opt_param_scheduler": job.start_from == "state",
    }


def _first_iteration(job: TrainJob) -> int:
    """Bridge goes on counting where a state was kept."""
    return (job.start_step or 0) if job.start_from == "state" else 0


def _blend(job: TrainJob, sequence_length: int) -> dict[str, Any]:
    """Megatron's blend: prefixes, and the exact shares as whole numbers."""
    shares = [Fraction(part.share) for part in job.blend]
    unit = math.lcm(*(share.denominator for share in shares))
    prefixes = [f"${{oc.env:OCSPEC_TOKENS}}/{part.dataset}/tokens" for part in job.blend]
    return {
        "_target_": f"{CONFIG}.GPTDatasetConfig",
        "seq_length": sequence_length,
        "blend": [prefixes, [int(share * unit) for share in shares]],
        "split": "1,0,0",
        "random_seed": job.seed,
        "reset_position_ids": False,
        "reset_attention_mask": False,
        "eod_mask_loss": False,
        "dataloader_type": "single",
    }


def _pairs(job: TrainJob) -> dict[str, Any]:
    """Bridge tunes on conversations as JSON Lines, with the loss on the assistant's turns."""
    return {
        "_target_": "megatron.bridge.data.builders.gpt_sft.GPTSFTDatasetConfig",
        "seq_length": job.batches[0].sequence_length,
        "dataset_root": "${oc.env:OCSPEC_PAIRS}",
        "seed": job.seed,
        "preprocessing": {
            "_target_": "megatron.bridge.data.sft_processing.ChatSFTPreprocessingConfig",
            "loss_mode": "assistant" if job.loss_on == "answer" else "full",
        },
        "do_validation": False,
        "do_test": False,
    }


def _checkpoint(job: TrainJob, number: int) -> dict[str, Any]:
    """Later launches, and a stage that keeps the state of the one before, load all; tuning takes weights only."""
    out, init = "${oc.env:OCSPEC_OUT}", "${oc.env:OCSPEC_INIT}"
    loads_state = job.start_from == "state" and number == 0
    return {
        "_target_": f"{CONFIG}.CheckpointConfig",
        "save": out,
        "save_interval": job.checkpoint_every or job.steps,
        "load": init if loads_state else out,
        "pretrained_checkpoint": init if job.start_from == "weights" else None,
        "ckpt_step": job.start_step if number == 0 else None,
        "ckpt_format": "torch_dist",
    }


def bridge_comments(job: TrainJob, number: int = 0) -> dict[str, str]:
    """What Bridge cannot say, or says otherwise, by the key at which a reader would look for it."""
    comments = {"scheduler": ONE_STEP_BEHIND}
    if len({batch.global_batch for batch in job.batches}) > 1:
        comments["scheduler"] += f"\n{SAMPLES}"
    if any(phase.shape == "exponential" for phase in job.schedule):
        comments["scheduler.lr_decay_style"] = EXPONENTIAL
    if job.start_from == "state" and job.start_step is None:
        comments["train.train_iters"] = (
            "Add the steps of the stage before: Bridge goes on counting from its checkpoint."
        )
    if job.start_from == "state" and number == 0:
        comments["checkpoint.load"] = "To go on after this stage has saved something, load from OCSPEC_OUT instead."
    if job.kind == "finetune":
        comments["dataset"] = "The samples of instruct.encode are not read: Bridge encodes conversations itself."
    if job.save_at is not None and job.save_at % (job.checkpoint_every or job.steps):
        comments["checkpoint.save_interval"] = f"The next stage starts from step {job.save_at}: no interval hits it."
    policy = f"{job.guard.not_finite} what is not finite, {job.guard.spike} what jumps"
    comments["rerun_state_machine"] = f"The job's guard ({policy}) has no equal:\n{GUARD}"
    return comments
