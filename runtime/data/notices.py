"""Copyright and licence notices in the comments that open a document.

Not a licence detector: it does not say which licence, and knows a notice by phrases that such notices use. It
looks at the comments before the first code (and the docstring of a Python module) and nowhere else, since a
notice further down is code's own business (OpenCoder, arXiv 2411.04905, section 2.1: notices in opening
comments, the file is kept).

A comment is taken apart into statements. A statement that is a notice goes; once a comment holds one, so does
every other statement of it in the language of licences. Titles, descriptions, authors and lines that tools read
stay. A comment of which nothing is left goes whole, with the blank lines after it.

Comments come from the table of markers, not from a parser: at the head of a file the two agree
(tests/runtime/data/test_notices.py compares them), and the parse alone takes three times as long as scan and rules.
All is linear in the length of the head.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from runtime.data.comments import CommentSyntax, comment_syntax

# Taken to be a notice wherever in a head comment it stands. One line at a time: no pattern crosses a line's end,
# so that taking out a line never makes a phrase of its neighbours.
_LICENCES = r"apache|mit|x11|bsd|isc|zlib|mozilla public|eclipse public|boost software|general public|public|unlicense"
_NOTICE = re.compile(
    r"copyright[ \t]{0,4}(?:text)?[ \t]{0,4}[:,]?[ \t]{0,4}(?:\(c\)|©|&copy;|(?:19|20)\d\d|by[ \t])"
    r"|(?:\(c\)|©|&copy;)[ \t]{0,4}(?:copyright|(?-i:[A-Z\u00c0-\u024f])|(?:19|20)\d\d)"
    r"|(?-i:\b(?:Copyright|COPYRIGHT)[ \t]{1,4}(?:of[ \t]|the[ \t])?"
    r"(?!Notice|NOTICE|Holder|HOLDER|Law|Of\b)[A-Z\u00c0-\u024f])"
    r"|(?<![a-z0-9_])[@:\\](?:copyright|licen[sc]e)\b|^\W{0,12}licen[sc]e[ \t]{0,4}:"
    r"|all rights reserved|spdx-|\bsee (?:the )?copyright notice"
    r"|(?:copyright|licen[sc]e) (?:and licen[sc]e )?information|licen[sc]ed (?:under|to|according)"
    r"|(?:released|distributed|available) under (?:(?:the|an?|same)\b|\S{1,20} licen[sc]e)"
    rf"|\b(?:{_LICENCES})(?:-style)?[ \t]{{1,4}}licen[sc]e|/licen[sc]e(?:s/|\b)|\.licen[sc]e\b"
    r"|permission is hereby granted|permission to use|redistribution and use in|under the terms of"
    r"|(?:without|no) (?:any )?warrant|governed by an? .{0,40}licen[sc]e|is free software"
    r"|(?:released|placed|dedicated) (?:in)?to the public domain|placed in the public domain",
    re.IGNORECASE | re.MULTILINE,
)

# The language of licences: a statement with it goes if its comment holds a notice.
_LEGAL = re.compile(
    r"licen[sc]|copyright|copyleft|warrant|redistribut|sublicense|liabilit|\bliable\b|damages|infring"
    r"|disclaim|merchantab|fitness for a|permission|all rights|reserved\b|public domain|as[ -]is\b|proprietary"
    r"|confidential"
    r"|exclusive property|authoriz|you may (?:not|obtain)|hope that it will be useful|gnu\b|free software foundation"
    r"|obtaining a copy|substantial portions|endorse or promote|this file is part of|spdx|provided that|see authors"
    r"|terms and conditions|^\W{0,12}(?:contributors|initial developer):|use at your own risk",
    re.IGNORECASE,
)

_WHOLE_LICENCE = re.compile(
    r"terms and conditions (?:for use|for copying|of use)|gnu .{0,20}general public license\s*\Z", re.IGNORECASE
)

# Lines that tools read: they stay when the comment around them goes.
_DIRECTIVE = re.compile(
    r"#!|//go:|// ?\+build|/// ?<reference|(?:#|//|;)[ \t]{0,4}(?:-\*-|.{0,20}coding[:=]|vim?:|type:|pragma"
    r"|pylint:|flake8:|noqa|mypy:|ruff:|eslint|@ts-|@flow|syntax[ \t]{0,2}=|frozen_string_literal"
    r"|warn_indent|shellcheck|cython:|distutils:|cgo|\$schema)",
    re.IGNORECASE,
)

# What may stand before and between the head comments: it stays.
_PREAMBLE = re.compile(
    r"\A\ufeff?#![^\n]{0,400}|\ufeff|<\?php\b|<\?xml[^>\n]{0,200}\?>|<!doctype[^>\n]{0,200}>|@charset[^;\n]{0,40};"
    r"|<%@[^>\n]{0,200}%>|@echo off\b|#pragma once\b|[\"']use strict[\"'];?|%YAML[^\n]{0,20}|---(?=\s)"
    r"|[ \t\r\n\f\v]{1,1000}",
    re.IGNORECASE,
)
_INDENT = re.compile(r"[ \t]{0,200}")
_BLANK_LINES = re.compile(r"(?:[ \t]{0,200}\r?\n){0,200}")
_DOC_COMMENT = re.compile(r"//(?:!|/(?!/))")
_DOCSTRING = re.compile(r"[rRuU]?(?P<quotes>\"{3}|'{3})")

# How a statement begins where nothing ended the one before it.
_OPENER = re.compile(
    r"(?:\W|(?:rem|dnl)[ \t])*(?-i:(?=[A-Z(©]))(?:copyright|\(c\)|©|spdx|licen[sc]ed?\b|dual|released"
    r"|distributed under|permission|redistribution|all rights|see (?:the )?copyright|portions"
    r"|this (?:file|program|software|source|code|module|library|work|package)\b)",
    re.IGNORECASE,
)
_LABEL = re.compile(r"[\W_]*(?:[@:\\][A-Za-z]|[A-Z][A-Za-z]*(?: [a-z]+)?:(?!//))")
_HOLDER = re.compile(r"copyright|©|\(c\)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?][\"')>]?\s*\Z")
_TITLE_END = re.compile(r"\W{0,12}(?:[\w./-]+\.\w{1,6}|@\w+)\W{0,12}\Z")  # a file's name or a bare tag
_TAG_LINE = re.compile(r"SPDX-License-Identifier:")  # one line each, whatever comes next
_OPEN_END = re.compile(r"(?:[,;&-]|\b(?:and|by|the|of|or|under|in))\s*\Z", re.IGNORECASE)
_CAPITAL = re.compile(r"\W*[A-Z\u00c0-\u00de]")
_ADDRESS = re.compile(r"\W{0,12}(?:https?://|<?see )\S*+[\s\w>*/#]*\Z", re.IGNORECASE)
_MARKER_WORD = re.compile(r"\s*(?:@?rem|dnl)\b", re.IGNORECASE)
_WORDS = re.compile(r"[^\W_]")
_BORDER = re.compile(r"[*#=~+_/|;%!-]{6,}")

_LOOK = 160  # characters of a line that tell where a statement begins or ends

Range = tuple[int, int]


def notices(text: str, language: str | None) -> list[Range]:
    r"""The [start, end) character ranges of notices in the head, sorted and disjoint.

    A language without known comments has none.

    >>> text = "/* Copyright 2020 Jo */\nint x;\n"
    >>> [text[start:end] for start, end in notices(text, "c")]
    ['/* Copyright 2020 Jo */\n']
    """
    syntax = comment_syntax(language)
    if syntax is None:
        return []
    return [found for comment in _head_comments(text, syntax, language == "python") for found in _in(text, comment)]


# ---------------------------------------------------------------- the head


@attrs.frozen
class Comment:
    """A comment, or a module's docstring: where it starts and ends, and its markers (`closing` may be empty)."""

    start: int
    end: int
    opening: str
    closing: str


def _head_comments(text: str, syntax: CommentSyntax, docstrings: bool) -> Iterator[Comment]:
    position = 0
    while position < len(text):
        comment = _comment_at(text, position, syntax)
        if comment is None and docstrings:
            comment = _docstring_at(text, position)
            docstrings = docstrings and comment is None
        if comment is not None:
            yield comment
            position = comment.end
            continue
        preamble = _PREAMBLE.match(text, position)
        if preamble is None:
            return
        position = preamble.end()


def _comment_at(text: str, start: int, syntax: CommentSyntax) -> Comment | None:
    """The comment that starts here, or None.

    Line comments on neighbouring lines are one comment, but documentation (`///`, `//!`) is apart from
    others, and so is a `#!`. A block with its opening marker inside may be nested: it is left alone.
    """
    for opening, closing in syntax.block:
        if text.startswith(opening, start):
            end = text.find(closing, start + len(opening))
            nested = end != -1 and opening != closing and text.find(opening, start + len(opening), end) != -1
            return None if end == -1 or nested else Comment(start, end + len(closing), opening, closing)
    if text.startswith("#!", start) and start <= 1:
        return None
    position = mark = start
    documentation = _DOC_COMMENT.match(text, start) is not None
    while text.startswith(syntax.line, mark) and (_DOC_COMMENT.match(text, mark) is not None) == documentation:
        newline = text.find("\n", mark)
        if newline == -1:
            position = len(text)
            break
        position = newline + 1
        mark = _end(_INDENT, text, position)
    return Comment(start, position, "", "") if position > start else None


def _docstring_at(text: str, start: int) -> Comment | None:
    found = _DOCSTRING.match(text, start)
    if found is None:
        return None
    quotes = found["quotes"]
    end = text.find(quotes, found.end())
    behind = text.find("\n", end)
    # Code behind it makes it less than a docstring.
    if end == -1 or text[end + 3 : len(text) if behind == -1 else behind].strip():
        return None
    return Comment(start, end + 3, found.group(), quotes)


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Where a pattern that matches everywhere, if only nothing, ends its match at `position`."""
    match = pattern.match(text, position)
    assert match is not None
    return match.end()


# ---------------------------------------------------------------- one comment


@attrs.define
class _Line:
    start: int
    end: int
    text: str
    """Without what the markers of the comment take."""
    goes: bool = False

    @property
    def blank(self) -> bool:
        """Nothing to read: white space, decoration, a border."""
        return _WORDS.search(_MARKER_WORD.sub("", self.text, count=1)) is None

    @property
    def directive(self) -> bool:
        return _DIRECTIVE.match(self.text.lstrip()) is not None


def _in(text: str, comment: Comment) -> list[Range]:
    """What goes of this comment."""
    if _NOTICE.search(text, comment.start, comment.end) is None:
        return []
    lines = _lines(text, comment)
    for statement in _statements(lines):
        if any(_NOTICE.search(line.text) or _LEGAL.search(line.text) for line in statement):
            for line in statement:
                line.goes = True
    _whole_licence_goes(lines)
    if not any(line.goes for line in lines):
        return []
    if all(line.goes or line.blank for line in lines):
        return [(comment.start, _end(_BLANK_LINES, text, comment.end))]
    if not comment.closing and all(line.goes or line.blank or line.directive for line in lines):
        return _joined([(line.start, line.end) for line in lines if not line.directive], text, comment.end)
    _blank_lines_go(lines)
    return _joined([_cut(text, line, comment) for line in lines if line.goes], text, None)


def _whole_licence_goes(lines: list[_Line]) -> None:
    """The text of a whole licence goes to its last clause, also where a clause has none of the words."""
    first = next((index for index, line in enumerate(lines) if _WHOLE_LICENCE.search(line.text)), None)
    if first is not None:
        last = max((index for index, line in enumerate(lines) if line.goes), default=first)
        for line in lines[first:last]:
            line.goes = line.goes or not line.directive


def _lines(text: str, comment: Comment) -> list[_Line]:
    body, end = comment.start + len(comment.opening), comment.end - len(comment.closing)
    lines: list[_Line] = []
    position = comment.start
    for raw in text[comment.start : comment.end].splitlines(keepends=True):
        first, last = max(position, body), min(position + len(raw), end)
        lines.append(_Line(position, position + len(raw), text[first:last]))
        position += len(raw)
    return lines


def _statements(lines: list[_Line]) -> Iterator[list[_Line]]:
    """Lines that belong together; blank ones and directives are in none."""
    statement: list[_Line] = []
    for line in lines:
        apart = line.blank or line.directive
        if statement and (apart or _begins(statement[-1].text, line.text)):
            yield statement
            statement = []
        if not apart:
            statement.append(line)
    if statement:
        yield statement


def _begins(before: str, line: str) -> bool:
    """Whether `line` begins another statement than the line before it."""
    before, line = before[-_LOOK:], line[:_LOOK]
    if _ADDRESS.match(line) and _HOLDER.search(before):
        return False
    if (
        _OPENER.match(line)
        or _LABEL.match(line)
        or _SENTENCE_END.search(before)
        or _TITLE_END.match(before)
        or _TAG_LINE.search(before)
    ):
        return True
    if _HOLDER.search(before) and _NOTICE.search(before):
        return _CAPITAL.match(line) is not None and _OPEN_END.search(before) is None
    return False


def _blank_lines_go(lines: list[_Line]) -> None:
    """Blank lines behind what went, and before it if nothing is kept after; a box keeps its last side."""
    readable = [index for index, line in enumerate(lines) if not line.blank]
    last_kept = max((index for index in readable if not lines[index].goes), default=-1)
    last_gone = max((index for index in readable if lines[index].goes), default=-1)
    before: _Line | None = None
    for index, line in enumerate(lines):
        if not line.blank:
            before = line
            continue
        if index in {0, len(lines) - 1} and (line.text.strip() == "" or _BORDER.search(line.text)):
            continue
        line.goes = (before is not None and before.goes) or last_kept < index < last_gone


def _cut(text: str, line: _Line, comment: Comment) -> Range:
    """The part of a line that goes: all but the markers of the comment that begin or end on it."""
    start, end = line.start, line.end
    if comment.closing and line.end == comment.end:
        end = comment.end - len(comment.closing)
        start = _end(_INDENT, text, start)
        while end > start and text[end - 1] == "*":  # `**/` closes as well
            end -= 1
    if comment.opening and line.start == comment.start:
        start = comment.start + len(comment.opening)
        while start < end and text[start] in "*!#=-":
            start += 1
        end = min(end, line.start + len(text[line.start : line.end].rstrip("\r\n")))
    return start, max(start, end)


def _joined(ranges: list[Range], text: str, end: int | None) -> list[Range]:
    """Ranges that touch become one; the blank lines behind `end`, if it is one's end, go too."""
    joined: list[Range] = []
    for start, stop in ranges:
        if start == stop:
            continue
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    if joined and end is not None and joined[-1][1] == end:
        joined[-1] = (joined[-1][0], _end(_BLANK_LINES, text, end))
    return joined
