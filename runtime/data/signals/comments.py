"""Signals of comments and asserts: how much of a file explains or checks, and how much of it was left to do."""

from __future__ import annotations

import re

from runtime.data.signals.document import Document, ratio


def frac_chars_comments(document: Document) -> float | None:
    """Characters in comments and docstrings over characters."""
    if document.comments is None:
        return None
    chars = len(document.text) - len(document.code.decode("utf-8", "ignore"))
    return ratio(max(chars, 0), len(document.text))


_PROMPT = re.compile(rb"\b(?:todo|fixme)\b|your code here")


def frac_lines_prompt_comments(document: Document) -> float | None:
    """Comment lines with a word "todo" or "fixme", or with "your code here", over lines."""
    if document.comments is None:
        return None
    lower = document.raw.lower()
    if not any(phrase in lower for phrase in (b"todo", b"fixme", b"your code here")):
        return ratio(0, len(document.lines))
    lines = (line for start, end in document.comments for line in lower[start:end].split(b"\n"))
    found = sum(_PROMPT.search(line) is not None for line in lines)
    return ratio(min(found, len(document.lines)), len(document.lines))


def frac_lines_assert(document: Document) -> float | None:
    """Code lines that contain "assert", in any case, over code lines."""
    if b"assert" not in document.code.lower():
        return ratio(0, len(document.code_lines))
    return ratio(sum(b"assert" in line.lower() for line in document.code_lines), len(document.code_lines))
