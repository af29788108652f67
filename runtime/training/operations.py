"""Operations of the decoder with their gradients written out: norm, rotation, and the loss with its projection.

Not another arithmetic: each is the textbook's, and tests hold it against autograd's own. Written out, they pass over
memory less often than what autograd composes, and the loss never holds the logits of a whole batch. Shape suffixes as
in `model`; N counts positions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.amp.autocast_mode import autocast
from torch.autograd.function import once_differentiable

from runtime.training.data import IGNORE

# Logits held at a time, in elements. A CPU is fastest when they stay in its cache (measured: 2 MiB of float32 against 8
# MiB, 0.145 s against 0.166 s); a GPU needs many rows for each product.
LOGITS_AT_A_TIME = {"cpu": 1 << 19, "cuda": 1 << 27}
FEWEST_ROWS = 256


class _RootMeanSquareNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        squares = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()
        inverse = squares.div_(x.shape[-1]).add_(eps).rsqrt_()
        normed = x * inverse
        ctx.save_for_backward(normed, inverse, weight)
        scaled: Tensor = normed * weight
        return scaled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        normed, inverse, weight = ctx.saved_tensors
        product = gradient * normed
        by_weight = product.flatten(0, -2).sum(0)
        mean = (product @ weight).div_(normed.shape[-1]).unsqueeze(-1)
        by_x = (gradient * weight).addcmul_(normed, mean, value=-1).mul_(inverse)
        return by_x, by_weight, None


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Scale the last dimension to unit mean square, then by `weight` (arXiv 1910.07467); in float32 at least."""
    precise = x.to(torch.promote_types(x.dtype, torch.float32))
    normed: Tensor = _RootMeanSquareNorm.apply(precise, weight, eps)  # type: ignore[no-untyped-call]
    return normed.to(x.dtype)


class _Rotation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BSHD: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        ctx.save_for_backward(cosines, sines)
        return _turn(x_BSHD, cosines, sines, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        cosines, sines = ctx.saved_tensors
        return _turn(gradient, cosines, sines, -1), None, None


def _turn(x: Tensor, cosines: Tensor, sines: Tensor, direction: int) -> Tensor:
    half = x.shape[-1] // 2
    turned = x * cosines
    turned[..., :half].addcmul_(x[..., half:], sines[..., half:], value=-direction)
    turned[..., half:].addcmul_(x[..., :half], sines[..., half:], value=direction)
    return turned


def rotate(x_BSHD: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn each pair (i, i + D / 2) of a head by its position's angle (arXiv 2104.09864)."""
    turned: Tensor = _Rotation.apply(x_BSHD, cosines, sines)  # type: ignore[no-untyped-call]
    return turned


class _ProjectedLoss(torch.autograd.Function):
    """Computes the gradients with the loss, a few rows at a time, while their logits are there."""

    @staticmethod
    def forward(
        ctx: Any, hidden_NE: Tensor, weight_VE: Tensor, labels_N: Tensor, counted: int
    ) -> tuple[Tensor, Tensor]:
        kind, dtype = hidden_NE.device.type, _product_dtype(hidden_NE)
        hidden, weight = hidden_NE.to(dtype), weight_VE.to(dtype)
        by_hidden, by_weight = torch.empty_like(hidden_NE), torch.zeros_like(weight_VE)
        losses_N = hidden_NE.new_empty(len(labels_N), dtype=torch.promote_types(hidden_NE.dtype, torch.float32))
        rows = max(FEWEST_ROWS, LOGITS_AT_A_TIME[kind] // len(weight_VE))
        with autocast(kind, enabled=False):
            for start in range(0, len(labels_N), rows):
                here = slice(start, start + rows)
                losses_N[here], by_logits = _loss_of_rows(hidden[here] @ weight.T, labels_N[here], counted)
                by_logits = by_logits.to(dtype)
                by_hidden[here] = by_logits @ weight
                by_weight += by_logits.T @ hidden[here]
        ctx.save_for_backward(by_hidden, by_weight)
        ctx.mark_non_differentiable(losses_N)
        return losses_N.sum() / counted, losses_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None]:
        by_hidden, by_weight = ctx.saved_tensors
        return by_hidden * gradient, by_weight * gradient, None, None


def _product_dtype(like: Tensor) -> torch.dtype:
    """The precision of matrix products under the autocast of the caller."""
    kind = like.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else like.dtype


def _loss_of_rows(logits_NV: Tensor, labels_N: Tensor, counted: int) -> tuple[Tensor, Tensor]:
    """Each row's loss, and the gradient of their sum / `counted` by the logits."""
    log_probs = torch.log_softmax(logits_NV.to(torch.promote_types(logits_NV.dtype, torch.float32)), -1)
    counts = labels_N != IGNORE
    numbers, labels = torch.arange(len(labels_N), device=labels_N.device), labels_N.where(counts, 0)
    losses = -log_probs[numbers, labels] * counts
    gradient = log_probs.exp_()
    gradient[numbers, labels] -= 1
    return losses, gradient.mul_((counts.to(gradient.dtype) / counted).unsqueeze(-1))


def projected_loss(hidden_BSE: Tensor, weight_VE: Tensor, labels_BS: Tensor, counted: int) -> tuple[Tensor, Tensor]:
    """Cross-entropy of `hidden @ weight.T`: its sum / `counted`, to differentiate, and the losses [B, S] in nats.

    Positions whose label is `IGNORE` have none. Products are in the precision of autocast, all else in float32 at
    least.
    """
    hidden_NE, labels_N = hidden_BSE.flatten(0, 1), labels_BS.flatten()
    loss, losses_N = _ProjectedLoss.apply(hidden_NE, weight_VE, labels_N, counted)  # type: ignore[no-untyped-call]
    return loss, losses_N.view(labels_BS.shape)
