"""RMSNorm for Megatron's layers where Transformer Engine is not there.

Not Megatron's own choice: its wrapper of torch's norm refuses sequence parallelism, and with NVIDIA's Apex it takes a
norm that only does LayerNorm. Imports torch only; Megatron calls it with its own keyword arguments.
"""

from __future__ import annotations

from typing import Any

import torch


class RMSNorm(torch.nn.RMSNorm):
    """torch's, with the mark by which Megatron adds up its gradient over ranks that each saw a part of a sequence."""

    def __init__(self, config: Any, hidden_size: int, eps: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(hidden_size, eps=eps)
        self.weight.sequence_parallel = config.sequence_parallel  # type: ignore[attr-defined]
