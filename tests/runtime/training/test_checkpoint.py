"""Checkpoints that transformers reads."""

from __future__ import annotations

import json

import attrs
import pytest
import torch

from compiler.errors import UserError
from runtime.training.checkpoint import load_hf, read_shape, save_hf
from runtime.training.model import build_model


@pytest.fixture
def tokenizer_file(tmp_path):
    """A tokenizer of three words and an end of text."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"<|endoftext|>": 0, "if": 1, "else": 2, "?": 3}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    path = tmp_path / "source" / "tokenizer.json"
    path.parent.mkdir()
    tokenizer.save(str(path))
    return path


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("theta", [10_000.0, 500_000.0])
def test_transformers_computes_the_same_logits(tmp_path, tiny_shape, tied, theta):
    """Within 1e-5 in fp32, for weights large enough that logits reach several units."""
    transformers = pytest.importorskip("transformers")
    shape = attrs.evolve(tiny_shape, tied_embeddings=tied, rope_theta=theta, init_std=0.2, norm_eps=1e-4)
    model = build_model(shape, seed=3)
    save_hf(model, shape, tmp_path, bos_eos=(5, 6))
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path)
    ids = torch.randint(0, 64, (3, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, reference = model(ids), theirs(input_ids=ids).logits
    assert float(reference.abs().max()) > 1
    assert float((ours - reference).abs().max()) <= 1e-5
    assert (theirs.config.bos_token_id, theirs.config.eos_token_id) == (5, 6)
    assert theirs.dtype == torch.float32


def test_the_tokenizer_comes_along(tmp_path, tiny_shape, tokenizer_file):
    """AutoTokenizer finds it, with the end of text by name."""
    transformers = pytest.importorskip("transformers")
    save_hf(build_model(tiny_shape, 0), tiny_shape, tmp_path / "out", tokenizer_file, (0, 0))
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert loaded("if else")["input_ids"] == [1, 2]
    assert loaded.eos_token == "<|endoftext|>"
    assert tokenizer_file.read_bytes() == (tmp_path / "out" / "tokenizer.json").read_bytes()


@pytest.mark.parametrize("tied", [False, True])
def test_what_is_saved_is_loaded(tmp_path, tiny_shape, tied):
    """Shape and weights come back to the bit, and equal models give equal bytes."""
    shape = attrs.evolve(tiny_shape, tied_embeddings=tied, rope_theta=5e5, norm_eps=1e-6)
    model = build_model(shape, seed=1)
    save_hf(model, shape, tmp_path / "a")
    assert shape == read_shape(tmp_path / "a")
    again = load_hf(tmp_path / "a")
    ids = torch.arange(12)[None]
    assert torch.equal(model(ids), again(ids))
    save_hf(again, shape, tmp_path / "b")
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_another_shape_is_refused_by_tensor_name(tmp_path, tiny_shape):
    """Both shapes are in the message."""
    save_hf(build_model(tiny_shape, 0), tiny_shape, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"vocab_size": 65}))
    with pytest.raises(
        UserError, match=r"embed_tokens.weight: the checkpoint has \(64, 16\), the model wants \(65, 16\)"
    ):
        load_hf(tmp_path)


def test_a_checkpoint_cut_short_is_refused(tmp_path, tiny_shape):
    """Also a missing one."""
    save_hf(build_model(tiny_shape, 0), tiny_shape, tmp_path)
    with (tmp_path / "model.safetensors").open("r+b") as file:
        file.truncate(5000)
    with pytest.raises(UserError, match="unreadable checkpoint"):
        load_hf(tmp_path)
    with pytest.raises(UserError, match="no readable model configuration"):
        load_hf(tmp_path / "nothing")
