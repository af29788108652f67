"""Checkpoints in the layout of Hugging Face transformers, for evaluation, generation and the next stage.

Not the state of an unfinished run (see `sealed`), and without transformers: the files are written here, and a
test loads them with `transformers.LlamaForCausalLM.from_pretrained`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from compiler.errors import UserError
from compiler.trainjob import ModelShape
from runtime.training.model import LlamaForCausalLM

WEIGHTS = "model.safetensors"

# Our name of a field -> the name in config.json.
_CONFIG_NAMES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "max_positions": "max_position_embeddings",
    "rope_theta": "rope_theta",
    "norm_eps": "rms_norm_eps",
    "init_std": "initializer_range",
    "tied_embeddings": "tie_word_embeddings",
}


def save_hf(
    model: LlamaForCausalLM,
    shape: ModelShape,
    directory: Path,
    tokenizer_file: Path | None = None,
    bos_eos: tuple[int, int] | None = None,
) -> None:
    """Write a model of ours as `save_hf_weights` does."""
    save_hf_weights(dict(model.named_parameters()), shape, directory, tokenizer_file, bos_eos)


def save_hf_weights(
    named: Mapping[str, Tensor],
    shape: ModelShape,
    directory: Path,
    tokenizer_file: Path | None = None,
    bos_eos: tuple[int, int] | None = None,
) -> None:
    """Write `model.safetensors`, `config.json` and, if given, the tokenizer; equal models give equal bytes.

    `named` are the weights by Hugging Face name, from whichever back end. `bos_eos` are the ids of the tokens that
    begin and end a text; without them generation has no natural stop.
    """
    directory.mkdir(parents=True, exist_ok=True)
    weights = {name: weight.detach().contiguous() for name, weight in named.items()}
    save_file(weights, directory / WEIGHTS, metadata={"format": "pt"})
    dtype = str(next(iter(weights.values())).dtype).removeprefix("torch.")
    _write_json(directory / "config.json", _config(shape, dtype, bos_eos))
    if tokenizer_file is not None:
        shutil.copyfile(tokenizer_file, directory / "tokenizer.json")
        _write_json(directory / "tokenizer_config.json", _tokenizer_config(tokenizer_file, shape, bos_eos))


def _config(shape: ModelShape, dtype: str, bos_eos: tuple[int, int] | None) -> dict[str, Any]:
    bos, eos = bos_eos if bos_eos is not None else (None, None)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **{theirs: getattr(shape, ours) for ours, theirs in _CONFIG_NAMES.items()},
        "rope_scaling": None,
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "bos_token_id": bos,
        "eos_token_id": eos,
        "torch_dtype": dtype,
        "use_cache": True,
    }


def _tokenizer_config(tokenizer_file: Path, shape: ModelShape, bos_eos: tuple[int, int] | None) -> dict[str, Any]:
    """What `AutoTokenizer` needs beside tokenizer.json: the class, and which tokens begin and end a text."""
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": shape.max_positions,
    }
    added = json.loads(tokenizer_file.read_text()).get("added_tokens", [])
    names = {token["id"]: token["content"] for token in added}
    for role, number in zip(("bos_token", "eos_token"), bos_eos or (), strict=False):
        if number in names:
            config[role] = names[number]
    return config


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def read_shape(directory: Path) -> ModelShape:
    """The shape in config.json of `directory`, as `save_hf` writes it; UserError where it cannot be read."""
    path = directory / "config.json"
    try:
        config = json.loads(path.read_text())
        return ModelShape(**{ours: config[theirs] for ours, theirs in _CONFIG_NAMES.items()})
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"no readable model configuration: {error!r}", where=str(path)) from error


def load_weights(model: LlamaForCausalLM, weights: dict[str, Tensor], where: str) -> None:
    """Copy named weights into `model`; UserError where a name or a shape differs."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            found = tuple(weights[name].shape) if name in weights else "nothing"
            if found != tuple(parameter.shape):
                raise UserError(
                    f"{name}: the checkpoint has {found}, the model wants {tuple(parameter.shape)}",
                    where=where,
                    fix="start from a checkpoint of the same model shape",
                )
            parameter.copy_(weights[name])


def load_hf_weights(model: LlamaForCausalLM, directory: Path) -> None:
    """Fill `model` from model.safetensors of `directory`; UserError if unreadable or of another shape."""
    path = directory / WEIGHTS
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"unreadable checkpoint: {error}", where=str(path)) from error
    load_weights(model, weights, str(path))


def load_hf(directory: Path) -> LlamaForCausalLM:
    """The model of `directory`, on the CPU."""
    model = LlamaForCausalLM(read_shape(directory))
    load_hf_weights(model, directory)
    return model
