"""The compiled scan against a search by plain Python: on any text, in any batches, over spans of the kernel."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.data.contamination.scan import PhraseScanner
from runtime.data.contamination.words import phrase_hashes, words

# Few words in many spellings, so that phrases come up by chance, also across the borders of documents.
PIECES = st.sampled_from(["a", "B", "b", "ab", "é", "É", "求", "。", " ", "  ", "\n", "-", "_", "“", "🙂", "1", "A"])
TEXTS = st.lists(st.lists(PIECES, max_size=30).map("".join), max_size=5)


def places(texts: list[str], phrases: set[tuple[str, ...]]) -> list[list[int]]:
    """Document, first byte and last byte + 1 of every phrase: each run of words, by the documented definition."""
    found = []
    for document, text in enumerate(texts):
        said, spans, position = words(text), [], 0
        for word in said:
            start = next(at for at in range(position, len(text)) if words(text[at : at + len(word)]) == [word])
            spans.append((start, start + len(word)))
            position = start + len(word)
        for first, (start, _) in enumerate(spans):
            for last, (_, stop) in enumerate(spans[first:], start=first):
                if tuple(said[first : last + 1]) in phrases:
                    found.append([document, len(text[:start].encode()), len(text[:stop].encode())])
    return sorted(found)


def scanner(phrases: set[tuple[str, ...]]) -> PhraseScanner:
    return PhraseScanner(sorted({len(phrase) for phrase in phrases}), phrase_hashes(sorted(phrases)))


@settings(deadline=None, max_examples=150)
@given(TEXTS, st.sets(st.lists(st.sampled_from(["a", "b", "ab", "é", "求", "1"]), min_size=1, max_size=4).map(tuple)))
def test_it_finds_what_plain_python_finds(texts: list[str], phrases: set[tuple[str, ...]]) -> None:
    """Every place of every phrase and, since hashes of so few words are all different, nothing else."""
    assert scanner(phrases).scan(pa.array(texts, pa.large_string())).tolist() == places(texts, phrases)


@settings(deadline=None)
@given(TEXTS, st.integers(0, 5))
def test_batches_and_types_of_columns_do_not_matter(texts: list[str], cut: int) -> None:
    """One call, two calls, a slice, other widths, and nulls between."""
    search = scanner({("a",), ("a", "b"), ("b", "a", "求")})
    whole = search.scan(pa.array(texts, pa.large_string()))
    array = pa.array([None, *texts], pa.string())
    assert search.scan(array.slice(1)).tolist() == whole.tolist()
    left, right = search.scan(array[1 : cut + 1]), search.scan(array[cut + 1 :])
    right[:, 0] += min(cut, len(texts))
    assert np.concatenate([left, right]).tolist() == whole.tolist()


@pytest.mark.parametrize("filler", [1021, 1022, 1023, 1024, 2047, 2048, 2049])
@pytest.mark.parametrize("word", ["x", "求"])
def test_phrases_at_the_borders_of_the_spans_that_the_kernel_cuts(filler: int, word: str) -> None:
    """Long documents, phrases of several lengths at once, and the very last word."""
    head = f"{word} " * filler
    text = f"{head}one two three four"
    start = len(head.encode())
    search = scanner({("one", "two", "three", "four"), ("four",), (word, word, "one")})
    back = 2 * len(f"{word} ".encode())
    assert search.scan(pa.array([text, "two three four"])).tolist() == [
        [0, start - back, start + 3],
        [0, start, start + 18],
        [0, start + 14, start + 18],
        [1, 10, 14],
    ]


def test_no_phrase_spans_two_documents() -> None:
    search = scanner({("a", "b")})
    assert search.scan(pa.array(["x a", "b", "a b"])).tolist() == [[2, 0, 3]]


def test_bytes_that_are_no_text_part_words_and_do_no_harm() -> None:
    """Broken UTF-8 at any place, and code points beyond the last."""
    search = scanner({("a",), ("a", "a")})
    broken = [b"\xff", b"\xc3", b"\xe6\xb1", b"\xf0\x9f", b"\xf4\xbf\xbf\xbf", b"\x80", b"\xc0\x80"]
    for bad in broken:
        text = b"a" + bad + b"a" + bad
        found = search.scan(pa.array([text], pa.binary())).tolist()
        assert [0, 0, 1] in found and [0, 0, len(bad) + 2] in found


def test_nothing_to_look_for_and_nothing_to_look_in() -> None:
    assert PhraseScanner([], phrase_hashes([])).scan(pa.array(["a"])).tolist() == []
    assert scanner({("a",)}).scan(pa.array([], pa.string())).tolist() == []
    assert scanner({("a",)}).scan(pa.array([None, ""], pa.string())).tolist() == []


def test_many_hits_and_many_phrases() -> None:
    """Rows found outgrow their first room; a table of 20,000 phrases misses none."""
    phrases = {(f"w{n}", f"v{n}") for n in range(20_000)}
    text = " ".join(f"w{n} v{n}" for n in range(0, 20_000, 3))
    assert len(scanner(phrases).scan(pa.array([text]))) == len(range(0, 20_000, 3))
