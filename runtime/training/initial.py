"""The first values of a model's weights, each by itself: the same on every back end and on every rank.

Not a checkpoint: it is what a stage starts from where there is none before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from compiler.trainjob import ModelShape


def initial_weight(shape: ModelShape, name: str, size: Sequence[int], seed: int) -> Tensor:
    """A parameter's first value, float32 on the CPU: matrices normal(0, init_std), norms one.

    The two projections that write into the residual stream (`o_proj`, `down_proj`) get `init_std / sqrt(2 *
    num_layers)`, as in GPT-2 and Megatron. Each parameter has a generator of its own, keyed by the seed and its
    name, so that a rank can make just those that it holds, and every back end starts from the same weights.
    """
    if len(size) < 2:
        return torch.ones(*size)
    residual = name.endswith(("o_proj.weight", "down_proj.weight"))
    std = shape.init_std / (2 * shape.num_layers) ** 0.5 if residual else shape.init_std
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
    return torch.empty(*size).normal_(0.0, std, generator=generator)
