"""Signals of prose: sentences, bullets, teasers, and mark-up between the words.

All patterns take linear time: their repetitions are possessive.
"""

from __future__ import annotations

import re

from runtime.data.signals.document import Document, ratio

_SENTENCE = re.compile("\\w[^.!?\u3002\uff01\uff1f\u061f\u06d4]*+")
_RAW_WORD = re.compile(r"\w+")
_BULLETS = ("-", "*", "+", "•", "‣", "▪", "▫", "■", "□", "●", "○", "◦", "▶", "◀", "\u2013", "·")
_MORE = (
    "...",
    "…",
    "read more",
    "更多",  # zh: more
    "阅读全文",  # zh: read the whole text
    "展开全文",  # zh: unfold the whole text
    "続きを読む",  # ja: read on
    "もっと見る",  # ja: see more
    "المزيد",  # ar: more
)
_LINK_OR_TAG = re.compile(r"\(https?://[^()\s]*+\)|<[A-Za-z/!?][^<>]*+>")


def num_sentences(document: Document) -> float:
    """Pieces between full stops, exclamation and question marks (Chinese and Arabic too) that hold a word."""
    return sum(1 for _ in _SENTENCE.finditer(document.text))


def entropy_unigram(document: Document) -> float | None:
    """Entropy of the frequencies of words, in nats."""
    return document.repetition.entropy if document.repetition.words else None


def frac_lines_end_with_readmore(document: Document) -> float | None:
    """Lines that end in an ellipsis or in words for "read more" (English, Chinese, Japanese, Arabic) over lines."""
    found = sum(line.rstrip().lower().endswith(_MORE) for line in document.lines)
    return ratio(found, len(document.lines))


def frac_lines_start_with_bullet(document: Document) -> float | None:
    """Lines that begin with a bullet (a dash, star or plus only before white space) over lines."""
    found = sum(_is_bullet(line.lstrip()) for line in document.lines)
    return ratio(found, len(document.lines))


def _is_bullet(line: str) -> bool:
    return line.startswith(_BULLETS) and (line[0] not in "-*+" or line[1:2].isspace())


def frac_words_all_caps(document: Document) -> float | None:
    """Words all of whose letters are capitals over words; digits and the underscore belong to words here."""
    words = _RAW_WORD.findall(document.text)
    return ratio(sum(map(str.isupper, words)), len(words))


def frac_words_full_bracket(document: Document) -> float | None:
    """Lenticular brackets, counted as words, over words and these brackets."""
    brackets = document.text.count("【") + document.text.count("】")
    return ratio(brackets, document.repetition.words + brackets)


def frac_chars_hyperlink_html_tag(document: Document) -> float | None:
    """Characters in links such as "(https://...)" and in tags over characters."""
    return ratio(sum(map(len, _LINK_OR_TAG.findall(document.text))), len(document.text))
