"""Tests of model shapes and tokenizers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocspec.base import SpecError, describe
from ocspec.model import PretrainedTokenizer, Tokenizer, TrainedBPE, Transformer


def shape(**changes: object) -> Transformer:
    small = {
        "num_layers": 2,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_heads": 4,
        "num_kv_heads": 2,
        "max_positions": 128,
    }
    return Transformer(**{**small, **changes})


@given(st.integers(1, 32), st.integers(1, 32))
@settings(max_examples=60)
def test_key_value_heads_divide_the_heads(heads: int, kv_heads: int) -> None:
    """Each serves the same number of query heads, or the shape is refused."""
    if heads % kv_heads == 0:
        assert shape(num_heads=heads, num_kv_heads=kv_heads, head_dim=8).num_kv_heads == kv_heads
    else:
        with pytest.raises(SpecError, match=f"num_heads {heads} is not a multiple of num_kv_heads {kv_heads}"):
            shape(num_heads=heads, num_kv_heads=kv_heads, head_dim=8)


def test_heads_divide_the_width_unless_their_own_is_given() -> None:
    """64 over 5 heads needs a head_dim."""
    with pytest.raises(SpecError, match="hidden_size 64 is not a multiple of num_heads 5"):
        shape(num_heads=5, num_kv_heads=5)
    assert shape(num_heads=5, num_kv_heads=5, head_dim=16).head_dim == 16


@pytest.mark.parametrize("field", ["num_layers", "hidden_size", "intermediate_size", "max_positions", "head_dim"])
def test_sizes_are_positive(field: str) -> None:
    """Nothing is 0 wide."""
    with pytest.raises(SpecError, match=rf"Transformer\.{field}"):
        shape(**{field: 0})


def test_a_shape_is_a_change_of_training() -> None:
    """A tokenizer is one of data: all tokens are made anew."""
    assert describe(shape())["class"] == "train"
    assert describe(TrainedBPE(vocab_size=512))["class"] == "data"


def test_a_vocabulary_holds_more_than_the_bytes() -> None:
    """Byte-level BPE starts from 256."""
    with pytest.raises(SpecError, match="vocab_size"):
        TrainedBPE(vocab_size=256)
    with pytest.raises(SpecError, match="PretrainedTokenizer, TrainedBPE"):
        Tokenizer(vocab_size=512)


def test_where_a_tokenizer_lies_does_not_matter_but_its_digest_does() -> None:
    """The path is execution, the digest is not."""
    roles = describe(PretrainedTokenizer(name="t", path="/x/tokenizer.json", vocab_size=512))["roles"]
    assert roles == {"path": "execution", "note": "doc"}
