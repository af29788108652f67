"""Gradients and updates."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch

from compiler.trainjob import AdamW
from runtime.training.data import IGNORE, Batch
from runtime.training.device import Device
from runtime.training.model import build_model
from runtime.training.trainer import accumulate_gradients, make_optimizer

CPU = Device(torch.device("cpu"), "fp32", "test")


def uneven_batch():
    """Six sequences of which some have one label, some many; the last two columns have none."""
    rng = np.random.default_rng(0)
    ids, labels = rng.integers(0, 64, (2, 6, 12))
    labels[:, 10:] = IGNORE
    labels[0, 1:] = IGNORE
    labels[1, :9] = IGNORE
    return Batch(ids, labels, np.array([0, 1, 0, 1, 1, 0]), ("a", "b"))


def gradients(model, batch, micro_batch):
    """The loss, and each parameter's gradient."""
    model.zero_grad()
    loss = float(accumulate_gradients(model, batch, micro_batch, CPU).sum()) / batch.loss_tokens
    return loss, {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("micro_batch", [1, 2, 4, 5])
def test_accumulation_equals_the_whole_batch(tiny_shape, micro_batch):
    """Within float32 rounding (1e-6 of the largest gradient), though parts have unequal numbers of labels."""
    model = build_model(attrs.evolve(tiny_shape, init_std=0.3), seed=0)
    loss, whole = gradients(model, uneven_batch(), 6)
    loss_of_parts, parts = gradients(model, uneven_batch(), micro_batch)
    assert loss == pytest.approx(loss_of_parts, rel=1e-6)
    largest = max(float(gradient.abs().max()) for gradient in whole.values())
    assert max(float((whole[name] - parts[name]).abs().max()) for name in whole) <= 1e-6 * largest


def test_accumulation_equals_the_whole_batch_to_the_bit_where_sums_are_exact(tiny_shape):
    """Sums of multiples of 2^-11 below 2^13 of them are exact in float32, in any order and in parts of any size.

    Hidden states are +1 and -1 (such embeddings, and layers that add nothing), probabilities 2^-6 (an output matrix of
    zeros over 64 tokens), and 32 tokens are counted. Numbers of a real model are no such multiples: the sum of a part
    is rounded where the whole batch's is not, or elsewhere, and so the bound of 1e-6 is all there is.
    """
    shape = attrs.evolve(tiny_shape, norm_eps=0.0)
    model = build_model(shape, seed=0)
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(model.model.embed_tokens.weight.sign())
        model.lm_head.weight.zero_()
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    ids, labels = np.random.default_rng(1).integers(0, 64, (2, 8, 8))
    labels[::2] = IGNORE
    batch = Batch(ids, labels, np.zeros(8, np.int64), ("a",))
    assert batch.loss_tokens == 32
    _, whole = gradients(model, batch, 8)
    assert float(whole["lm_head.weight"].abs().max()) > 0.05
    assert all(torch.equal(gradient * 2**11, (gradient * 2**11).round()) for gradient in whole.values())
    for micro_batch in (1, 3, 5):
        _, parts = gradients(model, batch, micro_batch)
        assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_accumulation_in_double_precision_rounds_to_the_same_bits(tiny_shape):
    """What the order of sums changes is far below float32: rounded to it, all 5,000 numbers are the whole batch's."""
    model = build_model(attrs.evolve(tiny_shape, init_std=0.3), seed=0).double()
    _, whole = gradients(model, uneven_batch(), 6)
    for micro_batch in (1, 4):
        _, parts = gradients(model, uneven_batch(), micro_batch)
        assert any(not torch.equal(whole[name], parts[name]) for name in whole), "the order of sums matters"
        assert all(torch.equal(whole[name].float(), parts[name].float()) for name in whole)


@pytest.mark.parametrize("recompute", ["selective", "full"])
def test_recomputation_changes_no_bit(tiny_shape, recompute):
    """Losses and gradients; and fewer bytes are kept for the backward pass."""
    model, kept = build_model(attrs.evolve(tiny_shape, init_std=0.3), seed=0), {}

    def of(setting):
        for layer in model.model.layers:
            layer.recompute = setting
        held = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: held.append(t.nbytes) or t, lambda t: t):
            model(torch.from_numpy(uneven_batch().ids))
        kept[setting] = sum(held)
        return gradients(model, uneven_batch(), 2)

    loss, plain = of("none")
    again, recomputed = of(recompute)
    assert loss == again
    assert all(torch.equal(plain[name], recomputed[name]) for name in plain)
    assert kept[recompute] < (0.75 if recompute == "selective" else 0.3) * kept["none"]


def test_the_loss_is_the_mean_over_predicted_tokens(tiny_shape):
    """Computed here token by token from log-probabilities."""
    model, batch = build_model(tiny_shape, seed=0), uneven_batch()
    log_probs = torch.log_softmax(model(torch.from_numpy(batch.ids)), -1).detach()
    losses = [
        -float(log_probs[row, column, batch.labels[row, column]])
        for row, column in zip(*np.nonzero(batch.labels != IGNORE), strict=True)
    ]
    assert batch.loss_tokens == len(losses)
    assert np.mean(losses) == pytest.approx(
        float(accumulate_gradients(model, batch, 2, CPU).sum()) / len(losses), rel=1e-6
    )


def test_losses_are_told_apart_by_data_set(tiny_shape):
    """The sums of each set's rows, whatever the split."""
    model, batch = build_model(tiny_shape, seed=0), uneven_batch()
    sums = [accumulate_gradients(model, batch, size, CPU) for size in (1, 4)]
    for source in (0, 1):
        rows = batch.sources == source
        alone = attrs.evolve(batch, ids=batch.ids[rows], labels=batch.labels[rows], sources=batch.sources[rows])
        expected = float(accumulate_gradients(model, alone, 6, CPU)[source])
        assert [float(each[source]) for each in sums] == pytest.approx([expected, expected], rel=1e-6)
        assert alone.tokens_by_source() == {batch.names[source]: batch.tokens_by_source()[batch.names[source]]}


def test_padding_and_questions_do_not_teach(tiny_shape):
    """Ids after the last label change nothing; they are cut off."""
    model, batch = build_model(tiny_shape, seed=0), uneven_batch()
    loss, before = gradients(model, batch, 3)
    batch.ids[:, 10:] = 1
    loss_after, after = gradients(model, batch, 3)
    assert loss == loss_after
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_part_without_labels_is_passed_over(tiny_shape):
    """A micro batch may have nothing to learn where its batch has."""
    model, batch = build_model(tiny_shape, seed=0), uneven_batch()
    empty = Batch(
        np.concatenate((batch.ids, batch.ids[:2])),
        np.pad(batch.labels, ((0, 2), (0, 0)), constant_values=IGNORE),
        np.pad(batch.sources, (0, 2)),
        batch.names,
    )
    assert gradients(model, batch, 2)[0] == gradients(model, empty, 2)[0]


def test_decay_is_on_matrices_only(tiny_shape):
    """With zero gradients AdamW shrinks matrices by lr * decay and leaves norms."""
    model = build_model(tiny_shape, seed=0)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = make_optimizer(model, AdamW(weight_decay=0.5), fused=True)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        factor = 0.95 if parameter.ndim == 2 else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)


def test_fused_and_plain_adamw_agree(tiny_shape):
    """kernels="portable" computes the same update, within rounding."""
    results = []
    for fused in (True, False):
        model = build_model(tiny_shape, seed=0)
        optimizer = make_optimizer(model, AdamW(), fused=fused)
        for group in optimizer.param_groups:
            group["lr"] = 1e-2
        for _ in range(3):
            accumulate_gradients(model, uneven_batch(), 6, CPU)
            optimizer.step()
            optimizer.zero_grad()
        results.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-4)
