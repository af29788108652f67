"""The decoder."""

from __future__ import annotations

import attrs
import pytest
import torch

from runtime.training.checkpoint import save_hf
from runtime.training.model import build_model, rotary_tables
from runtime.training.operations import rotate


def test_parameters_are_those_of_the_shape(tiny_shape):
    """With and without its own output matrix."""
    for tied in (False, True):
        shape = attrs.evolve(tiny_shape, tied_embeddings=tied)
        model = build_model(shape, seed=0)
        assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_state_has_the_names_of_transformers(tiny_shape):
    """Key by key and shape by shape, buffers left out on both sides."""
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=tiny_shape.vocab_size,
        hidden_size=tiny_shape.hidden_size,
        intermediate_size=tiny_shape.intermediate_size,
        num_hidden_layers=tiny_shape.num_layers,
        num_attention_heads=tiny_shape.num_heads,
        num_key_value_heads=tiny_shape.num_kv_heads,
        head_dim=tiny_shape.head_dim,
    )
    theirs = transformers.LlamaForCausalLM(config).state_dict()
    ours = build_model(tiny_shape, seed=0).state_dict()
    assert {name: value.shape for name, value in theirs.items()} == {name: value.shape for name, value in ours.items()}


def test_initial_weights_have_the_stated_spread(tiny_shape):
    """normal(0, init_std), residual projections less by sqrt(2 * layers), norms one."""
    shape = attrs.evolve(tiny_shape, hidden_size=64, intermediate_size=256, num_layers=8, init_std=0.1)
    layer = build_model(shape, seed=0).requires_grad_(False).model.layers[3]
    assert pytest.approx(float(layer.mlp.up_proj.weight.std()), rel=0.05) == 0.1
    assert pytest.approx(float(layer.mlp.down_proj.weight.std()), rel=0.05) == 0.1 / 4
    assert pytest.approx(float(layer.self_attn.o_proj.weight.std()), rel=0.15) == 0.1 / 4
    assert abs(float(layer.mlp.up_proj.weight.mean())) < 0.005
    assert bool((layer.input_layernorm.weight == 1).all())


def test_a_seed_gives_the_same_weights_and_another_seed_others(tiny_shape):
    """Whatever was drawn before."""
    torch.rand(3)
    first, again, other = (build_model(tiny_shape, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


def test_a_token_sees_nothing_after_it(tiny_shape):
    """Changing the last token leaves all earlier logits alone."""
    model = build_model(tiny_shape, seed=0)
    ids = torch.arange(10)[None]
    changed = ids.clone()
    changed[0, -1] = 33
    before, after = model(ids), model(changed)
    assert torch.equal(before[:, :-1], after[:, :-1])
    assert not torch.equal(before[:, -1], after[:, -1])


def test_rotation_keeps_lengths_and_depends_on_distance_only():
    """q at i times k at j is a function of i - j: what RoPE is for."""
    cosines, sines = rotary_tables(12, 8, 10_000.0)
    q, k = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).double()
    rotated_q = rotate(q.expand(1, 12, 1, 8), cosines, sines)[0, :, 0]
    rotated_k = rotate(k.expand(1, 12, 1, 8), cosines, sines)[0, :, 0]
    products = rotated_q @ rotated_k.T
    torch.testing.assert_close(rotated_q.norm(dim=-1), q.norm().expand(12), atol=1e-6, rtol=0)
    for distance in range(12):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=0)


def test_bf16_autocast_rounds_as_much_as_transformers_does(tmp_path, tiny_shape):
    """The yardstick is transformers' error on the same weights; the residual stream stays fp32."""
    transformers = pytest.importorskip("transformers")
    shape = attrs.evolve(tiny_shape, init_std=0.3)
    model = build_model(shape, seed=0)
    save_hf(model, shape, tmp_path)
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path)
    ids = torch.arange(20)[None]
    with torch.no_grad():
        exact = model(ids)
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model.model(ids)
            error = float((model.lm_head(hidden).float() - exact).square().mean())
            reference = float((theirs(input_ids=ids).logits.float() - exact).square().mean())
    assert hidden.dtype == torch.float32
    assert 0 < error < 1.2 * reference
