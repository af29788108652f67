"""Megatron-Bridge's configuration of a job: what NeMo's successor would be started with, as YAML.

**Nothing here has been run with Bridge.** Bridge 0.6.2 does not import without Transformer Engine. What is checked is
that every key is a field of the class that it is given to (`scripts/check_bridge_config.py`, for megatron-bridge 0.6.2
and megatron-core 0.19.2), so this is a road for whoever has the container, and not a back end.

A launch of Bridge has one sequence length and one batch size, so a job of several phases is several files, one for each
launch. Schedules and data are given in samples, which is what Bridge restores from a checkpoint (`bridge_count`): in
iterations it would take all that went before for batches of this launch's size. What Bridge cannot say is said in a
comment where the value would be. Paths come from the environment: `OCSPEC_TOKENS/DATASET/tokens` (.bin, .idx) or, for
tuning, `OCSPEC_PAIRS`, a directory with `training.jsonl`; `OCSPEC_TOKENIZER`, `OCSPEC_INIT` (checkpoints of the stage
before) and `OCSPEC_OUT`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

import attrs

from compiler.emit.bridge_count import Count, start_of, taken_from
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
IN_SAMPLES = """\
NOT THE JOB'S CURVE where the batch changes: Megatron goes along a schedule by samples, the job by steps."""
COUNTED_ON = """\
The checkpoint has counted {iterations} iterations and {samples} samples, and Bridge goes on from both:
it makes a data set long enough for all, skips those and reads the {read} after them. Megatron shuffles
the epochs of a data set together, so of a small one this launch misses some text and reads other text again."""
ENOUGH = "At least the {samples} samples at the end of this launch, and its iterations times its batch."
LAST = "The iteration at which this launch ends."
AGAIN = "To go on after this stage has saved something, load from OCSPEC_OUT instead."
AUTO = "The job's precision is auto: bf16 where the device has it. On one that has not: null, and false at bf16."
GUARD = "Bridge can stop at a loss that is not finite, and skips no step."


def bridge_configs(job: TrainJob, before: Sequence[TrainJob] = ()) -> dict[str, str]:
    """Files by name: `bridge.yaml`, and for each phase of batches after the first `bridge-2.yaml` ...

    `before`: the stages that this one follows from, the first one first.
    """
    launches = range(len(job.batches))
    return {f"bridge{f'-{n + 1}' if n else ''}.yaml": _launch(job, n, before) for n in launches}


def _launch(job: TrainJob, number: int, before: Sequence[TrainJob]) -> str:
    config, comments = bridge_config(job, number, before), bridge_comments(job, number, before)
    head = HEAD
    if len(job.batches) > 1:
        head += (
            f"\nLaunch {number + 1} of {len(job.batches)}: one for each phase of batches, from the state of the last."
        )
    return yaml_text(config, comments, head)


def bridge_config(job: TrainJob, number: int = 0, before: Sequence[TrainJob] = ()) -> dict[str, Any]:
    """The ConfigContainer of launch `number` (0-based), with the class of each section as its `_target_`.

    A job whose precision is `auto` reads as bf16: Bridge wants a GPU.
    """
    batch = job.batches[number]
    if job.precision == "auto":
        job = attrs.evolve(job, precision="bf16")
    return {
        "_target_": f"{CONFIG}.ConfigContainer",
        "model": _model(job, batch.sequence_length),
        "train": _train(job, number, before),
        "validation": {"_target_": "megatron.training.config.ValidationConfig", "eval_iters": 0},
        "optimizer": {"_target_": f"{CONFIG}.OptimizerConfig", **optimizer_config(job)},
        "scheduler": _scheduler(job, number, before),
        "ddp": {"_target_": f"{CONFIG}.DistributedDataParallelConfig", **ddp_config(job)},
        "dataset": _pairs(job) if job.kind == "finetune" else _blend(job, batch.sequence_length),
        "tokenizer": {
            "_target_": "megatron.bridge.training.tokenizers.config.TokenizerConfig",
            "tokenizer_type": "HuggingFaceTokenizer",
            "tokenizer_model": "${oc.env:OCSPEC_TOKENIZER}",
        },
        "checkpoint": _checkpoint(job, number, before),
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


def _train(job: TrainJob, number: int, before: Sequence[TrainJob]) -> dict[str, Any]:
    """As many samples as the data set needs.

    Bridge ends after train_samples / global_batch_size iterations, counted from the first launch: too late where
    batches were larger before, so it is told the iteration; too early where they were smaller, so it is given more.
    """
    batch, end = job.batches[number], _end(job, number, before)
    return {
        "_target_": f"{CONFIG}.TrainingConfig",
        "train_samples": max(end.samples, end.iterations * batch.global_batch),
        "exit_interval": end.iterations,
        "global_batch_size": batch.global_batch,
        "micro_batch_size": job.micro_batch,
    }


def _end(job: TrainJob, number: int, before: Sequence[TrainJob]) -> Count:
    """The count at the end of a launch; launch -1 ends where the stage begins."""
    return start_of(job, before).after(job, sum(batch.steps for batch in job.batches[: number + 1]))


def _scheduler(job: TrainJob, number: int, before: Sequence[TrainJob]) -> dict[str, Any]:
    """A linear warm-up and what follows it, in samples, the same in each launch of the stage.

    A decay that does not begin right after the warm-up is Megatron's WSD: a rate that holds, then decays. Launches that
    go on from a checkpoint of other figures have to override it: Megatron compares them.
    """
    start, last = start_of(job, before), job.schedule[-1]
    end, warmup = start.after(job, job.steps), _warmup_steps(job)
    style: dict[str, Any] = {"lr_decay_style": last.shape}
    plain = job.start_from != "state" and last.shape != "exponential" and warmup + last.steps == job.steps
    if last.shape != "constant" and not plain:
        style = {
            "lr_decay_style": "WSD",
            "lr_wsd_decay_style": last.shape,
            "lr_wsd_decay_samples": end.samples - start.after(job, job.steps - last.steps).samples,
        }
    return {
        "_target_": f"{CONFIG}.SchedulerConfig",
        "lr_warmup_samples": start.after(job, warmup).samples - start.samples,
        "lr_warmup_init": job.schedule[0].start if warmup else 0.0,
        "lr_decay_samples": end.samples,
        **style,
        "override_opt_param_scheduler": job.start_from == "state" or number > 0,
    }


def _warmup_steps(job: TrainJob) -> int:
    """Steps of the warm-up; Megatron has one only where it counts from zero."""
    first = job.schedule[0]
    warms = job.start_from != "state" and first.shape == "linear" and len(job.schedule) > 1
    return first.steps if warms else 0


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


def _checkpoint(job: TrainJob, number: int, before: Sequence[TrainJob]) -> dict[str, Any]:
    """Later launches, and a stage that keeps the state of the one before, load all; tuning takes weights only.

    A step of the stage before is named by its directory: `ckpt_step` would be looked for in this stage's own
    checkpoints, too, once it has some.
    """
    out, init, taken = "${oc.env:OCSPEC_OUT}", "${oc.env:OCSPEC_INIT}", taken_from(job, before)
    if taken is not None and job.start_step is not None:
        init = f"{init}/iter_{taken.iterations:07d}"
    return {
        "_target_": f"{CONFIG}.CheckpointConfig",
        "save": out,
        "save_interval": job.checkpoint_every or job.steps,
        "load": init if job.start_from == "state" and number == 0 else out,
        "pretrained_checkpoint": init if job.start_from == "weights" else None,
        "ckpt_format": "torch_dist",
    }


def bridge_comments(job: TrainJob, number: int = 0, before: Sequence[TrainJob] = ()) -> dict[str, str]:
    """What Bridge cannot say, or says otherwise, by the key at which a reader would look for it."""
    comments = {"scheduler": ONE_STEP_BEHIND} | _counting(job, number, before)
    if _batch_changes_on_the_way(job):
        comments["scheduler"] += f"\n{IN_SAMPLES}"
    if any(phase.shape == "exponential" for phase in job.schedule):
        comments["scheduler.lr_decay_style"] = EXPONENTIAL
    if job.start_from == "state" and number == 0:
        comments["checkpoint.load"] = AGAIN
    if job.kind == "finetune":
        comments["dataset"] = "The samples of instruct.encode are not read: Bridge encodes conversations itself."
    if job.save_at is not None:
        kept = start_of(job, before).iterations + job.save_at
        if kept % (job.checkpoint_every or job.steps):
            comments["checkpoint.save_interval"] = f"The next stage starts from iteration {kept}: no interval hits it."
    if job.precision == "auto":
        comments["mixed_precision"] = AUTO
    policy = f"{job.guard.not_finite} what is not finite, {job.guard.spike} what jumps"
    comments["rerun_state_machine"] = f"The job's guard ({policy}) has no equal:\n{GUARD}"
    return comments


def _counting(job: TrainJob, number: int, before: Sequence[TrainJob]) -> dict[str, str]:
    """What the figures of `train` are made of, where they are not this launch's alone."""
    start, end = _end(job, number - 1, before), _end(job, number, before)
    comments = {"train.exit_interval": LAST}
    if start != Count():
        read = end.samples - start.samples
        comments["train"] = COUNTED_ON.format(iterations=start.iterations, samples=start.samples, read=read)
    if end.iterations * job.batches[number].global_batch > end.samples:
        comments["train.train_samples"] = ENOUGH.format(samples=end.samples)
    return comments


def _batch_changes_on_the_way(job: TrainJob) -> bool:
    """Whether the size of a batch changes within a phase of the schedule in which the rate is not constant."""
    begins = accumulate(batch.steps for batch in job.batches[:-1])
    changes = [
        step
        for step, (one, other) in zip(begins, pairwise(job.batches), strict=True)
        if one.global_batch != other.global_batch
    ]
    ends = accumulate(phase.steps for phase in job.schedule)
    return any(
        phase.shape != "constant" and any(end - phase.steps < step < end for step in changes)
        for phase, end in zip(job.schedule, ends, strict=True)
    )
