"""The decoder that the torch back end trains, with the parameter names of transformers' `LlamaForCausalLM`.

Not a copy of transformers and not a generator: no key-value cache, no dropout, no attention mask but the
causal one. Shape suffixes: B batch, S sequence, H query heads, K key-value heads, D head dimension, E hidden,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from compiler.trainjob import ModelShape, Recompute
from runtime.training.initial import initial_weight
from runtime.training.operations import projected_loss, rms_norm, rotate


def rotary_tables(length: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines of RoPE (arXiv 2104.09864), each [length, 1, head_dim], in float32.

    The sines of the first half of the head carry the minus sign of transformers' `rotate_half`, so that
    `x * cos + x.roll(D / 2) * sin` is the rotation (`operations.rotate`).
    """
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
    angles = torch.outer(torch.arange(length, dtype=torch.float32), 1.0 / theta**exponents)
    cosines, sines = angles.cos(), angles.sin()
    return torch.cat((cosines, cosines), -1)[:, None], torch.cat((-sines, sines), -1)[:, None]


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer without bias whose weights are left for `initialise` to fill."""
    return nn.Linear(inputs, outputs, bias=False, device="meta").to_empty(device="cpu")


class RMSNorm(nn.Module):
    """Root mean square norm (arXiv 1910.07467), computed in float32 at least."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x_BSE: Tensor) -> Tensor:
        """Scale each position to unit mean square, then by `weight`."""
        return rms_norm(x_BSE, self.weight, self.eps)


class Attention(nn.Module):
    """Causal self-attention with grouped key-value heads (arXiv 2305.13245)."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.head_dim = shape.head_dim
        self.grouped = shape.num_kv_heads != shape.num_heads
        self.q_proj = _linear(shape.hidden_size, shape.num_heads * shape.head_dim)
        self.k_proj = _linear(shape.hidden_size, shape.num_kv_heads * shape.head_dim)
        self.v_proj = _linear(shape.hidden_size, shape.num_kv_heads * shape.head_dim)
        self.o_proj = _linear(shape.num_heads * shape.head_dim, shape.hidden_size)

    def forward(self, x_BSE: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """Attend from each position to itself and those before it."""
        q_BSHD = rotate(self.q_proj(x_BSE).unflatten(-1, (-1, self.head_dim)), cosines, sines)
        k_BSKD = rotate(self.k_proj(x_BSE).unflatten(-1, (-1, self.head_dim)), cosines, sines)
        v_BSKD = self.v_proj(x_BSE).unflatten(-1, (-1, self.head_dim))
        mixed_BHSD = functional.scaled_dot_product_attention(
            q_BSHD.transpose(1, 2),
            k_BSKD.transpose(1, 2),
            v_BSKD.transpose(1, 2),
            is_causal=True,
            enable_gqa=self.grouped,
        )
        out_BSE: Tensor = self.o_proj(mixed_BHSD.transpose(1, 2).flatten(-2))
        return out_BSE


class FeedForward(nn.Module):
    """SwiGLU (arXiv 2002.05202)."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.gate_proj = _linear(shape.hidden_size, shape.intermediate_size)
        self.up_proj = _linear(shape.hidden_size, shape.intermediate_size)
        self.down_proj = _linear(shape.intermediate_size, shape.hidden_size)

    def forward(self, x_BSE: Tensor) -> Tensor:
        """down(silu(gate(x)) * up(x))."""
        out_BSE: Tensor = self.down_proj(functional.silu(self.gate_proj(x_BSE)) * self.up_proj(x_BSE))
        return out_BSE


class DecoderLayer(nn.Module):
    """Attention, then feed-forward, each behind a norm and added to the residual stream.

    `recompute` says whose activations are computed again in the backward pass instead of kept: none, those of the
    attention with its projections (`selective`), or of the whole layer (`full`). `compiled` computes what `sum_of_both`
    does, where there are gradients.
    """

    recompute: Recompute = "none"
    compiled: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.self_attn = Attention(shape)
        self.mlp = FeedForward(shape)
        self.input_layernorm = RMSNorm(shape.hidden_size, shape.norm_eps)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size, shape.norm_eps)

    def forward(self, x_BSE: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """Add what attention and then the feed-forward see."""
        run = self.compiled if self.compiled and torch.is_grad_enabled() else self.sum_of_both
        if self.recompute == "full":
            return _again_in_backward(run, x_BSE, cosines, sines)
        return run(x_BSE, cosines, sines)

    def sum_of_both(self, x_BSE: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """The layer, uncompiled."""
        normed_BSE = self.input_layernorm(x_BSE)
        if self.recompute == "selective":
            attended_BSE = x_BSE + _again_in_backward(self.self_attn, normed_BSE, cosines, sines)
        else:
            attended_BSE = x_BSE + self.self_attn(normed_BSE, cosines, sines)
        out_BSE: Tensor = attended_BSE + self.mlp(self.post_attention_layernorm(attended_BSE))
        return out_BSE


def _again_in_backward(function: Callable[..., Tensor], *arguments: Tensor) -> Tensor:
    """Its result, of which only the arguments are kept; it draws no random numbers that would have to be kept."""
    result: Tensor = checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)
    return result


class Decoder(nn.Module):
    """Embedding, layers and last norm: token ids to hidden states."""

    cosines: Tensor
    sines: Tensor

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        table = nn.Embedding(shape.vocab_size, shape.hidden_size, device="meta")
        self.embed_tokens = table.to_empty(device="cpu")
        self.layers = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.num_layers))
        self.norm = RMSNorm(shape.hidden_size, shape.norm_eps)
        cosines, sines = rotary_tables(shape.max_positions, shape.head_dim, shape.rope_theta)
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)

    def forward(self, ids_BS: Tensor) -> Tensor:
        """Hidden states [B, S, E]; S is at most the shape's `max_positions`."""
        x_BSE: Tensor = self.embed_tokens(ids_BS)
        length = ids_BS.shape[1]
        cosines, sines = self.cosines[:length], self.sines[:length]
        for layer in self.layers:
            x_BSE = layer(x_BSE, cosines, sines)
        normed_BSE: Tensor = self.norm(x_BSE)
        return normed_BSE


class LlamaForCausalLM(nn.Module):
    """The language model; its `state_dict` has the keys of transformers' class of this name.

    >>> shape = ModelShape(
    ...     vocab_size=32,
    ...     hidden_size=8,
    ...     intermediate_size=16,
    ...     num_layers=1,
    ...     num_heads=2,
    ...     num_kv_heads=1,
    ...     head_dim=4,
    ...     max_positions=16,
    ... )
    >>> model = build_model(shape, seed=0)
    >>> model(torch.zeros(1, 5, dtype=torch.long)).shape
    torch.Size([1, 5, 32])
    >>> sum(parameter.numel() for parameter in model.parameters()) == shape.parameters
    True
    """

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.shape = shape
        self.model = Decoder(shape)
        self.lm_head = _linear(shape.hidden_size, shape.vocab_size)
        if shape.tied_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def forward(self, ids_BS: Tensor) -> Tensor:
        """Logits [B, S, V]."""
        logits_BSV: Tensor = self.lm_head(self.model(ids_BS))
        return logits_BSV

    def loss(self, ids_BS: Tensor, labels_BS: Tensor, counted: int) -> tuple[Tensor, Tensor]:
        """The losses' sum / `counted`, to differentiate, and the losses [B, S]; see `operations.projected_loss`."""
        return projected_loss(self.model(ids_BS), self.lm_head.weight, labels_BS, counted)


def initialise(model: LlamaForCausalLM, seed: int) -> None:
    """Fill the weights with `initial_weight` of each."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(initial_weight(model.shape, name, parameter.shape, seed))


def build_model(shape: ModelShape, seed: int) -> LlamaForCausalLM:
    """A freshly initialised model on the CPU, in float32."""
    model = LlamaForCausalLM(shape)
    initialise(model, seed)
    return model
