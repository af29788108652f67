"""The repetition kernel against plain Python, on any words, and its time on hostile texts."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.data.ngrams import DUPLICATE, TOP, Repetition, repetition
from tests.pace import within


def plain(text: str) -> Repetition:
    """The definitions, word for word."""
    words = text.split(" ")
    words = [word for word in words if word]
    chars = sum(map(len, words))
    counts = Counter(words)
    shares = [count / len(words) for count in counts.values()]
    return Repetition(
        words=len(words),
        distinct=len(counts),
        chars=chars,
        entropy=round(max(-sum(share * math.log(share) for share in shares), 0.0), 8),
        top={n: _top(words, n, chars) for n in TOP},
        duplicate={n: _duplicate(words, n, chars) for n in DUPLICATE},
    )


def _grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _top(words: list[str], n: int, chars: int) -> float:
    counts = Counter(_grams(words, n))
    gram, count = max(counts.items(), key=lambda item: item[1], default=((), 0))  # of equals, max takes the first
    return min(count * sum(map(len, gram)) / chars, 1.0) if count > 1 else 0.0


def _duplicate(words: list[str], n: int, chars: int) -> float:
    grams = _grams(words, n)
    counts = Counter(grams)
    covered = {i + k for i, gram in enumerate(grams) if counts[gram] > 1 for k in range(n)}
    return sum(len(words[i]) for i in covered) / max(chars, 1)


def same(text: str) -> None:
    """Equal, and the entropy up to the order of summation."""
    found, expected = repetition(text.encode()), plain(text)
    assert found.entropy == pytest.approx(expected.entropy, abs=1e-7)
    assert (found.words, found.distinct, found.chars) == (expected.words, expected.distinct, expected.chars)
    assert found.top == pytest.approx(expected.top)
    assert found.duplicate == pytest.approx(expected.duplicate)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["a", "bc", "é", "漢字", "", "dddd"]), max_size=60))
def test_few_words_repeat_as_plain_python_counts(words):
    """Small vocabularies: every length of repetition, overlaps, ties, leading and double spaces, UTF-8."""
    same(" ".join(words))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=120), st.integers(1, 4))
def test_any_text_repeats_as_plain_python_counts(text, copies):
    """Only the space parts words."""
    same((text + " ") * copies)


@pytest.mark.parametrize("text", ["", " ", "a", "a a", "a b a b a b a b a b a b a b", "x " * 40])
def test_small_texts(text):
    """No words, one, and one n-gram that overlaps itself."""
    same(text)


@pytest.mark.parametrize("text", [b"a " * 3_500_000, b"a" * 7_000_000, b"a b c d e f g h i j k " * 320_000])
def test_seven_megabytes_take_bounded_time(text):
    """Words that all repeat, one word, and a period longer than the longest n-gram."""
    repetition(b"compile")
    with within(5):
        repetition(text)
