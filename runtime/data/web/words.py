"""Words: text as the ids of its BPE tokens in decimal, which is what fastText reads.

BPE bounds the vocabulary and cuts text without spaces, such as Chinese (OpenCoder 2.2). Line ends are tokens
like others, so a page is one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from compiler.errors import UserError
from runtime.data.bpe import TOKENIZER_FILE, Encoder, train_bpe


def cut(text: str, page_bytes: int) -> str:
    """The first bytes of a text, whole characters only.

    >>> cut("aé", 2), cut("aé", 3)
    ('a', 'aé')
    """
    head = text[:page_bytes]  # a character takes at least one byte
    encoded = head.encode()
    return head if len(encoded) <= page_bytes else encoded[:page_bytes].decode(errors="ignore")


def learn(texts: Iterator[str], vocab_size: int, out: Path) -> None:
    """Train the BPE and write it into `out`; UserError where the texts hold too few merges."""
    try:
        train_bpe(texts, vocab_size, (), out)
    except UserError as error:
        if error.where not in ("", "tokenizer"):  # of the texts, not of the tokenizer
            raise
        raise UserError(
            f"the BPE of web pages: {error.what}", fix=f"set vocab_size of WebRecall: {error.fix}"
        ) from None


class Segmenter:
    """Cuts text into words by a BPE that `learn` wrote."""

    def __init__(self, directory: Path) -> None:
        self._encoder = Encoder.load(directory / TOKENIZER_FILE)

    def words(self, text: str) -> str:
        """The words of one text, spaces between them."""
        return " ".join(map(str, self._encoder.encode(text).tolist()))

    def all_words(self, texts: Iterable[str]) -> list[str]:
        """The words of several texts."""
        return [self.words(text) for text in texts]
