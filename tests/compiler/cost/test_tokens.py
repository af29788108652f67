"""Bytes a token: within the table where it was measured, wide where it was not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.cost.interval import UNKNOWN, Interval
from compiler.cost.tokens import BYTES_A_TOKEN, VOCABULARIES, bytes_a_token, tokens_of


@pytest.mark.parametrize("language", BYTES_A_TOKEN)
def test_what_was_measured_lies_inside(language: str) -> None:
    """At the vocabularies of the table."""
    for vocabulary, (least, most) in zip(VOCABULARIES, BYTES_A_TOKEN[language], strict=True):
        assert least in bytes_a_token(vocabulary, [language])
        assert most in bytes_a_token(vocabulary, [language])


@given(st.integers(257, 200_000), st.lists(st.sampled_from([*BYTES_A_TOKEN, "cobol"]), min_size=1))
def test_more_languages_are_less_certain(vocabulary: int, languages: list[str]) -> None:
    """And a token is at least a byte."""
    one, all_ = bytes_a_token(vocabulary, languages[:1]), bytes_a_token(vocabulary, languages)
    assert 1 <= all_.low <= one.low <= one.high <= all_.high
    assert all_.high <= bytes_a_token(vocabulary).high


def test_between_two_vocabularies_both_bound_it() -> None:
    """A larger vocabulary needs fewer tokens."""
    between = bytes_a_token(10_000, ["python"])
    assert between.low == bytes_a_token(2_048, ["python"]).low
    assert between.high == bytes_a_token(32_768, ["python"]).high


def test_past_runs_go_before_the_table() -> None:
    """Where a text may be in any language: which ones they had read is not known."""
    measured = Interval(3.0, 3.3)
    assert bytes_a_token(2_048, [], measured) == measured
    assert bytes_a_token(2_048, ["python"], measured) == bytes_a_token(2_048, ["python"])


def test_opencoders_own_corpus_lies_inside() -> None:
    """RefineCode's raw code: 3.22 TB after filtering, 886 B tokens of a vocabulary of 96,640 (tables 16 and 2)."""
    assert 3.22e12 / 886e9 in bytes_a_token(96_640)


def test_tokens_of_an_unknown_text_are_not_known() -> None:
    """Never zero."""
    assert tokens_of(UNKNOWN, Interval(2, 4)) == UNKNOWN
    assert tokens_of(Interval(100, 200), Interval(2, 4)) == Interval(25, 100)
