"""Floating-point operations of training: 6ND plus attention, in exact integers. Not a time: that needs a device."""

from __future__ import annotations

from compiler.trainjob import ModelShape, TrainJob


def training_flops(job: TrainJob) -> int:
    """Forward and backward operations of a job, without recomputation."""
    return sum(batch.tokens * flops_per_token(job.model, batch.sequence_length) for batch in job.batches)


def flops_per_token(model: ModelShape, sequence_length: int) -> int:
    """Forward and backward operations of one token in a sequence of this length, without recomputation.

    6 for every parameter that multiplies (all but the input embedding), and 12 x layers x width x length for scores
    and values of attention, halved since half of it is masked (Chowdhery et al. 2022, appendix B).
    """
    multiplying = model.parameters - (0 if model.tied_embeddings else model.vocab_size * model.hidden_size)
    width = model.num_heads * model.head_dim
    return 6 * multiplying + 6 * model.num_layers * width * sequence_length
