"""The byte n-gram model: a distribution, and the one of the textbook."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.evaluation import ngram
from runtime.evaluation.ngram import END, SYMBOLS, ByteNGram

FEW = settings(max_examples=40, deadline=None)
few_bytes = st.lists(st.sampled_from(b"abc\x00\xff"), max_size=12).map(bytes)
corpora = st.lists(few_bytes, min_size=1, max_size=8)


def source_text(seed: int, size: int) -> bytes:
    """Text with the statistics of words: enough repetition that all counts of counts occur."""
    generator = random.Random(seed)
    words = [bytes(generator.choices(b"abcdefghij", k=generator.randint(1, 6))) for _ in range(60)]
    return b" ".join(generator.choices(words, weights=[1 / (i + 1) for i in range(60)], k=size // 4))


class Textbook:
    """Chen & Goodman's recursion with dictionaries, one n-gram at a time, written from the paper."""

    def __init__(self, documents: list[bytes], order: int) -> None:
        self.counts: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order + 1)]
        for document in documents:
            symbols = [END] * (order - 1) + list(document) + [END]
            for i in range(order - 1, len(symbols)):
                self.counts[order][tuple(symbols[i - order + 1 : i + 1])] += 1
        for n in range(order - 1, 0, -1):
            self.counts[n] = Counter(gram[1:] for gram in self.counts[n + 1])
        self.order = order
        self.after: dict[tuple[int, ...], dict[int, int]] = defaultdict(dict)
        for n in range(1, order + 1):
            for gram, count in self.counts[n].items():
                self.after[gram[:-1]][gram[-1]] = count
        self.discounts = [None, *(self.discount(n) for n in range(1, order + 1))]

    def discount(self, n: int) -> list[float]:
        times = Counter(self.counts[n].values())
        n1, n2, n3, n4 = (times[i] for i in (1, 2, 3, 4))
        if min(n1, n2, n3, n4) > 0:
            y = n1 / (n1 + 2 * n2)
            estimated = [0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
            if min(estimated) >= 0:
                return estimated
        return [0, 0.5, 1, 1.5]

    def probability(self, symbol: int, context: tuple[int, ...], n: int) -> float:
        if n == 0:
            return 1 / SYMBOLS
        below = self.probability(symbol, context[1:], n - 1)
        # The contexts of one order are told from those of others by their length.
        followers = self.after.get(context)
        if followers is None:
            return below
        discounts = self.discounts[n]
        assert discounts is not None
        total = sum(followers.values())
        left = sum(discounts[min(count, 3)] for count in followers.values())
        own = followers.get(symbol, 0)
        return (own - discounts[min(own, 3)] + left * below) / total

    def bits(self, document: bytes) -> float:
        symbols = [END] * (self.order - 1) + list(document) + [END]
        return -sum(
            math.log2(self.probability(symbols[i], tuple(symbols[i - self.order + 1 : i]), self.order))
            for i in range(self.order - 1, len(symbols))
        )


@FEW
@given(corpora, few_bytes, st.integers(1, 7))
def test_probabilities_sum_to_one_after_any_context(corpus: list[bytes], context: bytes, order: int) -> None:
    """Over the 256 bytes and the end, seen context or not; and none is zero."""
    distribution = ByteNGram.train(corpus, order).distribution(context)
    assert distribution.shape == (SYMBOLS,)
    assert distribution.sum() == pytest.approx(1, abs=1e-12)
    assert (distribution > 0).all()


@FEW
@given(corpora, few_bytes, st.integers(1, 5))
def test_bits_are_those_of_the_recursion_in_the_paper(corpus: list[bytes], document: bytes, order: int) -> None:
    """Sorted keys and back-offs give what the definition gives, symbol by symbol."""
    expected = Textbook(corpus, order).bits(document)
    assert ByteNGram.train(corpus, order).bits(document) == pytest.approx(expected, rel=1e-12)


def test_bits_agree_where_all_discounts_are_estimated() -> None:
    """Small corpora fall back on fixed discounts; this one is large enough for estimated ones."""
    corpus = [source_text(seed, 400) for seed in range(30)]
    textbook = Textbook(corpus, 4)
    assert textbook.discounts[4] != [0, 0.5, 1, 1.5]
    unseen = source_text(99, 300) + b"\x00\xff"
    assert ByteNGram.train(corpus, 4).bits(unseen) == pytest.approx(textbook.bits(unseen), rel=1e-12)


def test_probabilities_of_documents_sum_below_one() -> None:
    """The end is part of the model: short documents seen have almost all of the probability, and not more."""
    model = ByteNGram.train([b"", b"a", b"ab", b"b"], 3)
    short = [bytes(letters) for n in range(3) for letters in product(range(256), repeat=n) if n < 2 or letters < (120,)]
    total = sum(2 ** -model.bits(document) for document in short)
    assert 0.8 < total < 1


def test_bits_follow_from_the_distribution() -> None:
    """The chain rule, with the start of a document as the first context and its end as the last symbol."""
    model = ByteNGram.train([source_text(0, 500), source_text(1, 500)], 5)
    document = b"abc dead beef"
    chain = [model.distribution(document[:i])[symbol] for i, symbol in enumerate([*document, END])]
    assert model.bits(document) == pytest.approx(-np.log2(chain).sum(), rel=1e-12)


def test_higher_orders_predict_better_up_to_the_words() -> None:
    """Text like the training text costs less with each order; noise costs more than 8 bits a byte."""
    corpus, held_out = [source_text(0, 40_000)], source_text(0, 44_000)[-4000:]
    per_byte = [ByteNGram.train(corpus, order).bits(held_out) / len(held_out) for order in (1, 2, 3, 5)]
    assert per_byte == sorted(per_byte, reverse=True)
    assert per_byte[-1] < 2 < 3 < per_byte[0] < 4
    noise = bytes(random.Random(1).choices(range(128, 256), k=1000))
    assert ByteNGram.train(corpus, 5).bits(noise) / 1000 > 8


def test_neither_order_nor_chunks_of_documents_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting in pieces bounds memory and changes nothing, to the last bit."""
    corpus = [source_text(seed, 200) for seed in range(20)] + [b""]
    whole = ByteNGram.train(corpus).bits(corpus[3])
    monkeypatch.setattr(ngram, "CHUNK_BYTES", 150)
    assert ByteNGram.train(iter(corpus[::-1])).bits(corpus[3]) == whole


def test_no_ngram_spans_two_documents() -> None:
    """What ends one document does not predict what begins the next."""
    model = ByteNGram.train([b"xxxx", b"yyyy"] * 50, 3)
    assert model.distribution(b"")[ord("x")] == pytest.approx(model.distribution(b"")[ord("y")])
    assert model.distribution(b"xxxx")[ord("y")] < 0.02


def test_impossible_models_are_refused() -> None:
    """No document, or an order whose keys do not fit 64 bits."""
    with pytest.raises(ValueError, match="at least one document"):
        ByteNGram.train([])
    for order in (0, 8):
        with pytest.raises(ValueError, match="order is 1 to 7"):
            ByteNGram.train([b"a"], order)
