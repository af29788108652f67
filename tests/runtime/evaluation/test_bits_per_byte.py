"""Bits per byte, from log-probabilities to the table."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import UserError
from runtime.evaluation.bits_per_byte import DocumentBits, bits_table, document_bits
from runtime.evaluation.ngram import SYMBOLS, ByteNGram

documents = st.lists(
    st.builds(
        DocumentBits,
        st.floats(0, 1e9),
        st.integers(0, 10**6),
        st.sampled_from(["python", "go", None]),
    ),
    max_size=20,
)


def test_a_uniform_model_costs_the_logarithm_of_its_vocabulary() -> None:
    """Documents of 3 and 1 tokens, end included, under a uniform model of 8 ids: 9 and 3 bits."""
    assert document_bits(np.full(4, -math.log(8)), [3, 1]) == pytest.approx([9, 3])


def test_float32_log_probabilities_are_summed_in_float64() -> None:
    """A hundred thousand float32 terms of 0.1 nats; a float32 sum would be off in the fourth digit."""
    terms = np.full(100_000, -0.1, dtype=np.float32)
    (bits,) = document_bits(terms, [100_000])
    assert bits == pytest.approx(100_000 * float(np.float32(0.1)) / math.log(2), rel=1e-12)


@given(st.lists(st.lists(st.floats(-50, 0), min_size=1, max_size=9), max_size=9))
def test_documents_are_cut_where_their_lengths_say(log_probs: list[list[float]]) -> None:
    """End to end and cut again, each document has the sum of its own tokens."""
    flat = [value for document in log_probs for value in document]
    bits = document_bits(flat, [len(document) for document in log_probs])
    assert bits.tolist() == pytest.approx([-sum(document) / math.log(2) for document in log_probs])


def test_lengths_that_do_not_fit_are_programming_errors() -> None:
    """A token too many would shift every document after it."""
    with pytest.raises(ValueError, match="3 tokens, but the lengths sum to 2"):
        document_bits([-1.0, -1.0, -1.0], [1, 1])
    with pytest.raises(ValueError, match="at least one scored token"):
        document_bits([-1.0], [1, 0])


def test_the_table_weighs_documents_by_their_bytes() -> None:
    """Sum over sum: 12 bits over 10 bytes, not the mean of 2 and 1."""
    table = bits_table([DocumentBits(4, 2, "go"), DocumentBits(8, 8, "python"), DocumentBits(0.5, 0, None)])
    assert table["total"] == {"documents": 3, "bytes": 10, "bits": 12.5, "bits_per_byte": 1.25}
    assert list(table["languages"]) == ["(none)", "go", "python"]
    assert table["languages"]["go"]["bits_per_byte"] == 2
    assert table["languages"]["(none)"] == {"documents": 1, "bytes": 0, "bits": 0.5, "bits_per_byte": None}


@given(documents, st.data())
def test_the_table_is_plain_data_and_blind_to_order(scored: list[DocumentBits], data: st.DataObject) -> None:
    """Through JSON and back; in any order of documents, to the last bit; parts add up to the whole."""
    table = bits_table(scored)
    assert json.loads(json.dumps(table)) == table
    assert bits_table(data.draw(st.permutations(scored))) == table
    for key in ("documents", "bytes"):
        assert sum(part[key] for part in table["languages"].values()) == table["total"][key]


@pytest.mark.parametrize("bits", [math.nan, math.inf, -0.5])
def test_impossible_bits_name_the_document(bits: float) -> None:
    """A diverged model must not become a number in a table."""
    with pytest.raises(UserError, match=r"document 1 of 7 bytes has (nan|inf|-0\.5) bits"):
        bits_table([DocumentBits(1, 1), DocumentBits(bits, 7)])


def test_the_ngram_model_fits_the_table() -> None:
    """The yardstick in one line: an untrained alphabet costs about log2 of its size a byte."""
    model = ByteNGram.train([b"\x00"], 1)
    text = "n\u00e4ive".encode()
    table = bits_table([DocumentBits(model.bits(text), len(text), "python")])
    per_byte = table["total"]["bits_per_byte"]
    assert per_byte is not None
    assert math.log2(SYMBOLS) - 0.2 < per_byte < math.log2(SYMBOLS) + 1.5
