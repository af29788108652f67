"""What a word is: by examples, against the pattern of Python's own, and the tables that the kernel reads."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.data.contamination.words import IDEOGRAPH, SEPARATOR, character_kinds, phrase_hashes, word_hash, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("-- ...\n", []),
        ("def Sort_2(xs):", ["def", "sort_2", "xs"]),
        ("\N{LEFT DOUBLE QUOTATION MARK}Don\N{RIGHT SINGLE QUOTATION MARK}t — stop…", ["don", "t", "stop"]),
        ("a\u00a0b\u200bc\ufeffd", ["a", "b", "c", "d"]),
        ("Größe ÉCOLE x²", ["größe", "École", "x²"]),
        ("求和sum\N{FULLWIDTH COMMA}返回。", ["求", "和", "sum", "返", "回"]),
        ("カタカナ\N{FULLWIDTH EXCLAMATION MARK}", ["カ", "タ", "カ", "ナ"]),
        ("한국어 단어", ["한국어", "단어"]),
        ("naïve🙂face", ["naïve", "face"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_of_ascii_they_are_those_of_the_usual_pattern(text: str) -> None:
    assert words(text) == re.findall(r"\w+", text.lower())


def test_no_letter_or_digit_of_any_script_parts_words() -> None:
    """Of the characters that Python's Unicode knows."""
    kinds = character_kinds()
    parting = [c for c in range(0x110000) if kinds[c] == SEPARATOR and unicodedata.category(chr(c))[0] in "LN"]
    assert parting == []


@given(st.characters(codec="utf-8"))
def test_the_tables_say_what_the_pattern_says(character: str) -> None:
    """Alone, and between letters."""
    kind = character_kinds()[ord(character)]
    assert (words(character) != []) == (kind != SEPARATOR)
    lower = character.lower() if character.isascii() else character
    between = {SEPARATOR: ["a", "b"], IDEOGRAPH: ["a", character, "b"]}.get(kind, [f"a{lower}b"])
    assert words(f"a{character}b") == between


def test_hashes_tell_words_their_order_and_their_number_apart() -> None:
    phrases = [["a"], ["b"], ["a", "b"], ["b", "a"], ["ab"], ["a", "a"], []]
    assert len(set(phrase_hashes(phrases).tolist())) == len(phrases)
    assert word_hash("") == 0
    assert word_hash("a") == 97 * 0x9E3779B97F4A7C15 % 2**64
