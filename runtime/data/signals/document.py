"""One document as the signals see it: its text, and what several signals share, computed when first asked for.

Not a signal: those are functions of a Document, in the modules beside this one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import rjieba

from runtime.data.comments import comment_syntax
from runtime.data.ngrams import Repetition, repetition
from runtime.data.signals.scan import scan_comments, scan_strings
from runtime.data.treesitter import Span, Structure, isolated

SPACES = bytes(code for code in range(128) if chr(code).isspace())
_NOT_LETTERS = bytes(code for code in range(256) if not (code < 128 and chr(code).isalpha()))
# Lower case; everything but letters and digits becomes a space.
_WORDS = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else 32 for code in range(256))
_WORD = re.compile(r"[^\W_]+")
_ASCII_RUN = re.compile(r"[\x00-\x7f]+")
# Unicode's blocks of unified and compatibility ideographs.
_HAN_RUN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]+")


class Document:
    """One document. `language` is a programming or markup language, None if unknown; `path` is "" if unknown."""

    def __init__(self, text: str, language: str | None, path: str = "") -> None:
        self.text = text
        self.language = language
        self.path = path
        self.parser_failed = False

    # ---------------------------------------------------------------- characters and lines

    @cached_property
    def raw(self) -> bytes:
        """The text in UTF-8."""
        return self.text.encode("utf-8", "replace")

    @cached_property
    def lines(self) -> list[str]:
        """Lines without their newline; a newline at the end opens no further line."""
        lines = self.text.split("\n")
        return lines[:-1] if lines[-1] == "" else lines

    @cached_property
    def not_ascii(self) -> str:
        """The characters beyond ASCII, in order."""
        return "" if self.text.isascii() else _ASCII_RUN.sub("", self.text)

    @cached_property
    def num_visible(self) -> int:
        """Characters that are not white space."""
        ascii_spaces = len(self.raw) - len(self.raw.translate(None, SPACES))
        return len(self.text) - ascii_spaces - sum(map(str.isspace, self.not_ascii))

    @cached_property
    def num_letters(self) -> int:
        """Letters of any script."""
        return len(self.raw.translate(None, _NOT_LETTERS)) + sum(map(str.isalpha, self.not_ascii))

    # ---------------------------------------------------------------- words

    @cached_property
    def natural_language(self) -> Literal["zh", "en"]:
        """`zh` if more than half of the letters are Han ideographs, `en` for everything else.

        So Japanese, most of whose letters are kana, counts as `en`, for which the published rules are made.
        """
        han = sum(map(len, _HAN_RUN.findall(self.not_ascii)))
        return "zh" if 2 * han > self.num_letters else "en"

    @cached_property
    def words(self) -> Sequence[bytes]:
        """Runs of letters and digits, in lower case and UTF-8; Chinese text is cut into words by jieba before."""
        return self._spaced_words.split()

    @cached_property
    def repetition(self) -> Repetition:
        """Counts over the words and their n-grams."""
        return repetition(self._spaced_words)

    @property
    def _spaced_words(self) -> bytes:
        """The words with spaces between."""
        if not self.not_ascii:
            return self.raw.translate(_WORDS)
        text = self.text.lower()
        if self.natural_language == "zh":
            text = " ".join(rjieba.cut(text, hmm=False))  # without the model for words that no dictionary has
        return " ".join(_WORD.findall(text)).encode("utf-8", "replace")

    # ---------------------------------------------------------------- structure

    @cached_property
    def structure(self) -> Structure | None:
        """What the parser found, or None where the language has no grammar, or where `parser_failed` is set."""
        try:
            return isolated.structure(self.raw, self.language) if self.language else None
        except isolated.ParserFailed:
            self.parser_failed = True
            return None

    @cached_property
    def comments(self) -> tuple[Span, ...] | None:
        """Comments and docstrings as byte spans, or None where the language's comments are not known."""
        if self.structure is not None:
            return self.structure.comments
        syntax = comment_syntax(self.language)
        return None if syntax is None else tuple(scan_comments(self.raw, syntax))

    @cached_property
    def strings(self) -> tuple[Span, ...]:
        """String literals with their quotes as byte spans; docstrings are comments, not strings."""
        if self.structure is not None:
            return self.structure.strings
        return tuple(scan_strings(self.raw, self.comments or ()))

    @cached_property
    def code(self) -> bytes:
        """The text without its comments."""
        kept, position = [], 0
        for start, end in self.comments or ():
            kept.append(self.raw[position:start])
            position = end
        return b"".join((*kept, self.raw[position:]))

    @cached_property
    def code_lines(self) -> list[bytes]:
        """Lines of the code that are not blank, all white space taken out."""
        squeezed = self.code.translate(None, SPACES.replace(b"\n", b""))
        return [line for line in squeezed.split(b"\n") if line]


def ratio(part: float, whole: float) -> float | None:
    """Part over whole, None where there is no whole."""
    return part / whole if whole else None


def characters(text: bytes) -> int:
    """The characters of a piece of UTF-8, which may begin or end inside of one."""
    return len(text) if text.isascii() else len(text.decode("utf-8", "ignore"))
