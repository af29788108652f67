"""Operations whose gradients are written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from runtime.training import operations
from runtime.training.data import IGNORE
from runtime.training.model import rotary_tables
from runtime.training.operations import projected_loss, rms_norm, rotate


def with_gradients(function, *tensors):
    """The result, and the gradient of a fixed weighting of it by each tensor."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    result = function(*leaves)
    weighting = torch.linspace(-1, 2, result.numel(), dtype=result.dtype).view(result.shape)
    return [result.detach(), *torch.autograd.grad((result * weighting).sum(), leaves)]


def random(*sizes, dtype=torch.float64):
    """Numbers of a fixed seed."""
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(sum(sizes)), dtype=dtype)


def test_the_norm_and_its_gradients_are_torchs():
    """In double precision to 1e-12; a small epsilon and one that matters."""
    x, weight = random(3, 5, 16), random(16)
    for eps in (1e-6, 0.5):
        ours = with_gradients(lambda x, w, eps=eps: rms_norm(x, w, eps), x, weight)
        torchs = with_gradients(lambda x, w, eps=eps: functional.rms_norm(x, (16,), w, eps), x, weight)
        torch.testing.assert_close(ours, torchs, rtol=0, atol=1e-12)


def test_the_norm_of_bf16_is_computed_in_fp32():
    """It is the rounded norm of the exact input, in the precision of the input."""
    x, weight = random(4, 16, dtype=torch.float32).bfloat16(), random(16, dtype=torch.float32)
    normed = rms_norm(x, weight, 1e-5)
    assert torch.equal(normed, rms_norm(x.float(), weight, 1e-5).bfloat16())


def test_the_rotation_and_its_gradient_are_those_of_the_formula():
    """x cos + roll(x) sin, as transformers has it."""
    cosines, sines = (table.double() for table in rotary_tables(7, 8, 10_000.0))
    x = random(2, 7, 3, 8)
    ours = with_gradients(lambda x: rotate(x, cosines, sines), x)
    formula = with_gradients(lambda x: x * cosines + x.roll(4, -1) * sines, x)
    torch.testing.assert_close(ours, formula, rtol=0, atol=1e-14)


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_the_loss_and_its_gradients_are_torchs_whatever_the_number_of_rows_at_a_time(monkeypatch, rows):
    """Also where a row, all rows of a turn, or all rows of the end have no label."""
    monkeypatch.setattr(operations, "FEWEST_ROWS", rows)
    monkeypatch.setitem(operations.LOGITS_AT_A_TIME, "cpu", 1)
    hidden, weight = random(2, 7, 6), random(11, 6)
    labels = torch.arange(14).view(2, 7) % 11
    labels[0, 2] = labels[1, 1:] = IGNORE

    def torchs(hidden, weight):
        logits = (hidden @ weight.T).flatten(0, 1)
        return functional.cross_entropy(logits, labels.flatten(), ignore_index=IGNORE, reduction="sum") / 9

    ours = with_gradients(lambda h, w: projected_loss(h, w, labels, 9)[0], hidden, weight)
    torch.testing.assert_close(ours, with_gradients(torchs, hidden, weight), rtol=0, atol=1e-13)
    losses = projected_loss(hidden, weight, labels, 9)[1]
    assert losses.shape == labels.shape and not losses[labels == IGNORE].any()
    torch.testing.assert_close(losses.sum() / 9, ours[0])


def test_the_loss_multiplies_in_the_precision_of_autocast():
    """bf16 products of float32 tensors: gradients in float32, apart from the exact ones by bf16's rounding."""
    hidden, weight = random(4, 8, 32, dtype=torch.float32), random(64, 32, dtype=torch.float32)
    labels = torch.arange(32).view(4, 8)
    exact = with_gradients(lambda h, w: projected_loss(h, w, labels, 32)[0], hidden, weight)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = with_gradients(lambda h, w: projected_loss(h, w, labels, 32)[0], hidden, weight)
    assert {tensor.dtype for tensor in rounded} == {torch.float32}
    for ours, reference in zip(rounded, exact, strict=True):
        assert 0 < float((ours - reference).abs().max()) < 2**-6 * float(reference.abs().max())
