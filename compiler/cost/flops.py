"""Floating-point operations of a model: 6ND plus attention to train, a third of it to score, in exact integers.

Not a time: that needs a device.
"""

from __future__ import annotations

from compiler.trainjob import ModelShape, TrainJob


def training_flops(job: TrainJob) -> int:
    """Forward and backward operations of a job, without recomputation."""
    return sum(batch.tokens * flops_per_token(job.model, batch.sequence_length) for batch in job.batches)


def executed_flops(job: TrainJob) -> int:
    """Forward and backward operations, and those that the job computes again to save memory."""
    again = (batch.tokens * recomputed_per_token(job, batch.sequence_length) for batch in job.batches)
    return training_flops(job) + sum(again)


def flops_per_token(model: ModelShape, sequence_length: int) -> int:
    """Forward and backward operations of one token in a sequence of this length, without recomputation.

    6 for every parameter that multiplies (all but the input embedding), and 12 x layers x width x length for scores
    and values of attention (Chowdhery et al. 2022, appendix B), here halved since half of it is masked.
    """
    return 3 * forward_per_token(model, sequence_length)


def forward_per_token(model: ModelShape, sequence_length: int) -> int:
    """Those of the forward pass alone, which are half of the backward pass's: 2 for every parameter that multiplies."""
    multiplying = model.parameters - (0 if model.tied_embeddings else model.vocab_size * model.hidden_size)
    return 2 * multiplying + attention_per_token(model, sequence_length)


def attention_per_token(model: ModelShape, sequence_length: int) -> int:
    """Forward operations of scores and values, half of them masked: 2 x layers x width x length."""
    return 2 * model.num_layers * model.num_heads * model.head_dim * sequence_length


def recomputed_per_token(job: TrainJob, sequence_length: int) -> int:
    """Forward operations that are done twice: those of all layers (`full`), or of their attention (`selective`).

    Megatron's selective recomputation repeats scores and values alone (Korthikanti et al. 2022, section 5), the torch
    back end's the projections before and after them as well.
    """
    model, mode = job.model, job.recompute
    if mode == "none":
        return 0
    attention = attention_per_token(model, sequence_length)
    if mode == "full":
        return attention + 2 * model.num_layers * model.layer_parameters
    if job.backend == "torch":
        width = model.head_dim * (2 * model.num_heads + 2 * model.num_kv_heads)
        return attention + 2 * model.num_layers * model.hidden_size * width
    return attention
