r"""Comments and string literals of languages without a grammar, as byte spans, by a scanner that knows little.

A comment is seen where it begins a line; one after code on its line is not. A string stands between two equal
quotes, " or ', on one line, outside of comments; a backslash escapes; a ' after a letter, digit or quote opens
none (`don't`, `foldl'`). Long strings over several lines, and languages that quote otherwise, are not seen.
Time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from runtime.data.comments import CommentSyntax
from runtime.data.treesitter import Span

# No quote after a backslash opens a string: so only one attempt in a line can fail, and read on to its end.
_STRING = re.compile(rb"""(?<!\\)"(?:[^"\\\n]++|\\[^\n])*+"|(?<![\w\\'"])'(?:[^'\\\n]++|\\[^\n])*+\'""")


def scan_comments(raw: bytes, syntax: CommentSyntax) -> Iterator[Span]:
    """Comments that begin a line, whole lines; a block lasts to its closing marker."""
    line_markers = tuple(marker.encode() for marker in syntax.line)
    position, closing = 0, b""
    for line in raw.split(b"\n"):
        body = line.lstrip()
        if not closing:
            closing = next((end.encode() for start, end in syntax.block if body.startswith(start.encode())), b"")
            comment = bool(closing) or body.startswith(line_markers)
        else:
            comment = True
        if comment:
            yield position, position + len(line)
        if closing and closing in line:
            closing = b""
        position += len(line) + 1


def scan_strings(raw: bytes, comments: Iterable[Span]) -> Iterator[Span]:
    r"""String literals with their quotes.

    >>> list(scan_strings(b"x = 'a' + \"it's\" # 'no'", [(18, 24)]))
    [(4, 7), (10, 16)]
    """
    code = bytearray(raw)
    for start, end in comments:
        code[start:end] = b"\n" * (end - start)
    return (found.span() for found in _STRING.finditer(code))
