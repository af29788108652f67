"""Log-probabilities of tokens."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runtime.training.checkpoint import save_hf
from runtime.training.model import build_model
from runtime.training.score import token_log_probs, windows


@pytest.fixture
def checkpoint(tmp_path, tiny_shape):
    """A model with opinions, of 32 positions."""
    shape = attrs.evolve(tiny_shape, init_std=0.3)
    save_hf(build_model(shape, seed=0), shape, tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def direct(checkpoint, tokens):
    """Log-probabilities of one text in one piece, by transformers."""
    transformers = pytest.importorskip("transformers")
    model = transformers.LlamaForCausalLM.from_pretrained(checkpoint)
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(tokens[None, :-1].astype(np.int64))).logits[0]
    return torch.log_softmax(logits, -1).gather(1, torch.from_numpy(tokens[1:, None].astype(np.int64)))[:, 0].numpy()


def test_short_texts_get_what_transformers_gives(checkpoint):
    """In their order, whatever their lengths; natural logarithms."""
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 64, length).astype(np.uint16) for length in (5, 33, 2, 20, 1, 0)]
    scores = list(token_log_probs(checkpoint, iter(texts), threads=1, batch_tokens=40))
    assert [len(score) for score in scores] == [4, 32, 1, 19, 0, 0]
    for text, score in zip(texts[:4], scores, strict=False):
        np.testing.assert_allclose(score, direct(checkpoint, text), atol=2e-5)


def test_a_long_text_is_scored_window_by_window(checkpoint):
    """Each window begins 16 tokens before the first that it scores."""
    text = np.random.default_rng(1).integers(0, 64, 60)
    (score,) = token_log_probs(checkpoint, [text], threads=1)
    np.testing.assert_allclose(score[:32], direct(checkpoint, text[:33]), atol=2e-5)
    np.testing.assert_allclose(score[32:48], direct(checkpoint, text[16:49])[16:], atol=2e-5)
    np.testing.assert_allclose(score[48:], direct(checkpoint, text[32:60])[16:], atol=2e-5)


def test_batching_changes_rounding_only(checkpoint):
    """One text at a time or all together."""
    rng = np.random.default_rng(2)
    texts = [rng.integers(0, 64, length) for length in rng.integers(2, 90, 30)]
    small = np.concatenate(list(token_log_probs(checkpoint, texts, threads=1, batch_tokens=1)))
    large = np.concatenate(list(token_log_probs(checkpoint, texts, threads=2, batch_tokens=4096)))
    np.testing.assert_allclose(small, large, atol=2e-5)


@given(st.integers(0, 200), st.integers(2, 40))
def test_windows_score_each_token_once_with_half_a_context(length, context):
    """And never ask for more than the model has positions."""
    found = windows(length, context)
    scored = [token for window in found for token in range(window.first + 1, window.stop + 1)]
    assert list(range(1, length)) == scored
    for window in found:
        assert window.stop - window.start <= context
        assert window.start == 0 or window.first - window.start == context // 2
