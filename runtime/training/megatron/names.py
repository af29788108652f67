"""Megatron's names of the weights and Hugging Face's, and the arithmetic between them.

Not a checkpoint format: it knows shapes and names, and reads and writes nothing. A key is the name under which
Megatron's distributed checkpoints hold a tensor: those of the layers are stacked, with the layer as first axis. Two of
them are put together from several of Hugging Face's: `linear_qkv` holds, for each key-value head, its query heads, its
keys and its values one after another; `linear_fc1` the gate above the up projection. What holds of a weight holds of
its moments, which have its shape. Shape suffixes: V vocabulary, E hidden, F feed-forward, D head dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from compiler.trainjob import ModelShape

Read = Callable[[str], Tensor]
"""Gives the whole tensor of a Hugging Face name."""

_LAYER = "decoder.layers."
_WHOLE = {
    "embedding.word_embeddings.weight": "model.embed_tokens.weight",
    "decoder.final_layernorm.weight": "model.norm.weight",
    "output_layer.weight": "lm_head.weight",
}
# A key below `decoder.layers.` -> the names below `model.layers.N.` that it is made of.
_OF_LAYER = {
    "self_attention.linear_qkv.layer_norm_weight": ("input_layernorm.weight",),
    "self_attention.linear_qkv.weight": tuple(f"self_attn.{part}_proj.weight" for part in "qkv"),
    "self_attention.linear_proj.weight": ("self_attn.o_proj.weight",),
    "mlp.linear_fc1.layer_norm_weight": ("post_attention_layernorm.weight",),
    "mlp.linear_fc1.weight": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
    "mlp.linear_fc2.weight": ("mlp.down_proj.weight",),
}


def keys(shape: ModelShape) -> list[str]:
    """The keys of a model of this shape; tied embeddings have no output layer of their own."""
    whole = [key for key in _WHOLE if not (shape.tied_embeddings and key == "output_layer.weight")]
    return whole + [_LAYER + key for key in _OF_LAYER]


def is_stacked(key: str) -> bool:
    """Whether the first axis of a key's tensor is the layer."""
    return key.startswith(_LAYER)


def hf_names(key: str, layer: int | None = None) -> tuple[str, ...]:
    """The Hugging Face names that a key, or one layer of it, is made of.

    >>> hf_names("decoder.layers.mlp.linear_fc1.weight", 3)
    ('model.layers.3.mlp.gate_proj.weight', 'model.layers.3.mlp.up_proj.weight')
    """
    if not is_stacked(key):
        return (_WHOLE[key],)
    return tuple(f"model.layers.{layer}.{name}" for name in _OF_LAYER[key.removeprefix(_LAYER)])


def join(shape: ModelShape, key: str, layer: int | None, read: Read) -> Tensor:
    """A key's tensor, or one layer of it, from Hugging Face's."""
    parts = [read(name) for name in hf_names(key, layer)]
    if not key.endswith("linear_qkv.weight"):
        return parts[0] if len(parts) == 1 else torch.cat(parts)
    groups = [part.reshape(shape.num_kv_heads, -1, shape.hidden_size) for part in parts]
    return torch.cat(groups, 1).reshape(-1, shape.hidden_size)


def split(shape: ModelShape, key: str, layer: int | None, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The inverse of `join`: names and tensors."""
    names = hf_names(key, layer)
    if key.endswith("linear_qkv.weight"):
        queries = shape.num_heads // shape.num_kv_heads * shape.head_dim
        groups = tensor.reshape(shape.num_kv_heads, -1, shape.hidden_size)
        parts = torch.split(groups, [queries, shape.head_dim, shape.head_dim], 1)
        yield from zip(names, (part.reshape(-1, shape.hidden_size) for part in parts), strict=True)
    else:
        yield from zip(names, tensor.chunk(len(names)), strict=True)


def full_size(shape: ModelShape, key: str) -> tuple[int, ...]:
    """The size of a key's whole tensor, the layers in front."""
    hidden, layers = shape.hidden_size, (shape.num_layers,) if is_stacked(key) else ()
    if "norm" in key:
        return (*layers, hidden)
    heads = shape.num_heads + 2 * shape.num_kv_heads
    rows = {
        "linear_qkv.weight": (heads * shape.head_dim, hidden),
        "linear_proj.weight": (hidden, shape.num_heads * shape.head_dim),
        "linear_fc1.weight": (2 * shape.intermediate_size, hidden),
        "linear_fc2.weight": (hidden, shape.intermediate_size),
    }
    last = ".".join(key.split(".")[-2:])
    return (*layers, *rows.get(last, (shape.vocab_size, hidden)))
