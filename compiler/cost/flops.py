"""Floating-point operations of training: 6ND plus attention, in exact integers. Not a time: that needs a device."""

from __future__ import annotations

from compiler.trainjob import TrainJob


def training_flops(job: TrainJob) -> int:
    """Forward and backward operations of a job, without recomputation.

    Per token 6 for every parameter that multiplies (all but the input embedding), and 12 x layers x width x length
    for scores and values of attention, halved since half of it is masked (Chowdhery et al. 2022, appendix B).
    """
    model = job.model
    multiplying = model.parameters - (0 if model.tied_embeddings else model.vocab_size * model.hidden_size)
    width = model.num_heads * model.head_dim
    total = 0
    for batch in job.batches:
        attention = 6 * model.num_layers * width * batch.sequence_length
        total += batch.tokens * (6 * multiplying + attention)
    return total
