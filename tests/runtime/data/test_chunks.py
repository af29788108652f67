"""Chunks: the kernel against a plain Python twin of its definition, and what must hold for any text."""

from __future__ import annotations

import re
import sysconfig
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from compiler.errors import UserError
from runtime.data.chunks import cut

WORD = re.compile(rb"[A-Za-z0-9_\x80-\xff]+")
ODD_TEXT = st.lists(st.sampled_from(["a", "bc", "ü", " ", " ", "\n", "\n", "\r\n", "-", "\x00"])).map("".join)
TEXTS = st.lists(st.one_of(ODD_TEXT, st.text(max_size=60)), max_size=5)


def reference(text: bytes, most_words: int) -> list[bytes]:
    """The definition of the module's docstring, word for word, at Python's speed."""
    chunks = []
    while True:
        starts = [found.start() for found in WORD.finditer(text)]
        if len(starts) <= most_words:
            return [*chunks, text]
        full = text[: starts[most_words]]  # up to the word that has no room
        line_end = full.rfind(b"\n") + 1
        border = line_end if WORD.search(full[:line_end]) else len(full)
        chunks.append(text[:border])
        text = text[border:]


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(1, 6))
@example(["a b c\nd e\nf"], 2)  # a line of more words than a chunk
@example(["\n\n a b\n\n c d"], 2)  # blank lines before the first word
def test_chunks_equal_the_plain_python_definition(texts: list[str], most_words: int) -> None:
    """On any texts, in one array."""
    chunks = cut(pa.array(texts, pa.large_string()), most_words)
    expected = [reference(text.encode(), most_words) for text in texts]
    assert chunks.texts.to_pylist() == [chunk for parts in expected for chunk in parts]
    assert chunks.document.tolist() == [row for row, parts in enumerate(expected) for _ in parts]
    assert chunks.number.tolist() == [number for parts in expected for number in range(len(parts))]


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(1, 6))
def test_chunks_tile_their_documents(texts: list[str], most_words: int) -> None:
    """End to end they are the document; each holds no more words than it may, two more than that; all are UTF-8."""
    chunks = cut(pa.array(texts, pa.large_string()), most_words)
    for row, text in enumerate(texts):
        mine = [i for i, document in enumerate(chunks.document.tolist()) if document == row]
        parts = [chunks.texts[i].as_py() for i in mine]
        assert b"".join(parts) == text.encode()
        assert [text.encode()[chunks.start[i] : chunks.stop[i]] for i in mine] == parts
        words = [len(WORD.findall(part)) for part in parts]
        assert max(words) <= most_words
        assert all(sum(pair) > most_words for pair in pairwise(words))
        assert sum(words) == len(WORD.findall(text.encode()))
        assert len(parts) == 1 or all(parts)
        assert all(part.decode() for part in parts if part)


def test_lines_are_divided_only_where_they_must_be() -> None:
    """Real code falls into whole lines."""
    text = (Path(sysconfig.get_paths()["stdlib"]) / "argparse.py").read_bytes()
    chunks = cut(pa.array([text], pa.large_binary()), 256).texts.to_pylist()
    assert len(chunks) > 20
    assert all(chunk.endswith(b"\n") for chunk in chunks)
    assert [len(WORD.findall(chunk)) > 200 for chunk in chunks[:-1]] == [True] * (len(chunks) - 1)


def test_a_slice_of_an_array_is_cut_like_a_copy_of_it() -> None:
    """Offsets count from the document, not from the buffer."""
    texts = pa.array(["x y z", "a b\nc d", "", "e f g"], pa.large_string())
    part, copy = cut(texts.slice(1, 2), 3), cut(pa.array(["a b\nc d", ""], pa.large_string()), 3)
    assert part.texts.to_pylist() == copy.texts.to_pylist() == [b"a b\n", b"c d", b""]
    assert part.start.tolist() == copy.start.tolist() == [0, 4, 0]
    assert part.stop.tolist() == copy.stop.tolist() == [4, 7, 0]


def test_no_texts_have_no_chunks() -> None:
    """A batch may be empty."""
    assert len(cut(pa.array([], pa.large_string()), 3).texts) == 0


@pytest.mark.parametrize(("texts", "most_words", "what"), [(["a"], 0, "at most 0 words"), ([None], 1, "1 of 1 texts")])
def test_what_cannot_be_cut_is_a_user_error(texts: list[str | None], most_words: int, what: str) -> None:
    """With the number."""
    with pytest.raises(UserError, match=what):
        cut(pa.array(texts, pa.large_string()), most_words)
