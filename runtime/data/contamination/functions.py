"""Where a program defines a function of some name, in any language, by how definitions look. No parser.

Known are a keyword before the name (def, function, func, fn, fun, sub, proc), a function assigned to it (JavaScript,
Python, R, Lua), and a head with parentheses before a block in braces (C and its relatives, shell). Arguments with
parentheses of their own are not seen through, and a call before a block (Ruby, Groovy) counts as a definition.
"""

from __future__ import annotations

import re

_NAME = re.compile(rb"[A-Za-z_]\w*")
_KEYWORD = re.compile(
    rb"\b(?:def|function|func|fn|fun|sub|proc|procedure)\b[ \t*&]+(?:\([^()\n]*\)[ \t]*)?(?:\w+(?:\.|::?))*\Z"
)
_FUNCTION = rb"(?:async\s+)?(?:function\b|lambda\b|\w+\s*=>|\([^()]{0,400}\)\s*(?::[^=\n]{0,80})?=>)"
_ASSIGNED = re.compile(rb"\s*(?:(?::[^=\n;]{0,80})?(?:=|<-)|:)\s*" + _FUNCTION)
_BLOCK = re.compile(rb"(?:<[^<>\n]{0,80}>)?\s*\([^(){};]{0,600}\)[^(){};=]{0,200}\{")
_LAST_WORD = re.compile(rb"\w+\Z")
_NO_TYPES = frozenset(
    b"if while for foreach switch catch match when guard elif else unless until return in and or not is new await"
    b" throw case yield assert print echo do try with using synchronized lock".split()
)
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+")
_BEFORE_BYTES, _AFTER_BYTES = 120, 1200


def defines(program: bytes, start: int, stop: int) -> bool:
    """Whether the name at program[start:stop] is that of a function defined there.

    >>> [defines(text, text.index(b"area"), text.index(b"area") + 4) for text in (b"def area(x):", b"y = area(x)")]
    [True, False]
    >>> defines(b"static double area(double x) {", 14, 18), defines(b"if area(x) {", 3, 7)
    (True, False)
    """
    before, after = program[max(start - _BEFORE_BYTES, 0) : start], program[stop : stop + _AFTER_BYTES]
    if _KEYWORD.search(before) or _ASSIGNED.match(after):
        return True
    return _BLOCK.match(after) is not None and _stands_like_a_head(before.rstrip(b" \t"))


def _stands_like_a_head(before: bytes) -> bool:
    """Whether what stands before a name can stand before the name of a function that a block follows."""
    last = before[-1:]
    if last in b"\r\n;{}]*" or before.endswith((b"::", b"*/")):
        return True
    if last == b"&":
        return not before.endswith(b"&&")
    if last == b">":
        return before[-2:-1].isalnum() or before[-2:-1] in b">]?*"
    word = _LAST_WORD.search(before)
    return word is not None and word[0] not in _NO_TYPES


def functions(program: str) -> list[str]:
    r"""The names of the functions that a program defines, in order.

    >>> functions("def area(x):\n    return scale(x)\nconst twice = (x) => 2 * x")
    ['area', 'twice']
    """
    data = program.encode()
    return [name[0].decode() for name in _NAME.finditer(data) if defines(data, *name.span())]


def parts(name: str) -> list[str]:
    """The words that a name is made of.

    >>> parts("has_close_elements"), parts("minCost2"), parts("HTTPServer"), parts("sort")
    (['has', 'close', 'elements'], ['min', 'Cost'], ['HTTP', 'Server'], ['sort'])
    """
    return _PART.findall(name)
