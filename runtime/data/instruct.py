"""Instruction pairs made from source code: a function's signature and documentation -> its body.

Not synthetic data and not a paraphrase: nobody wrote an answer to a question here. It is what a fine-tuning
stage can learn from when no instruction set is at hand. Leaving out answers that occur twice is the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs
from tree_sitter import Node

from runtime.data import treesitter

INSTRUCTION = "Complete the function below. Its documentation says what it does.\n\n```{language}\n{head}\n```"


@attrs.frozen(kw_only=True)
class Pair:
    """One function: `instruction` shows signature and documentation, `output` is the body that goes under it.

    `start_line` is the 1-based line of the signature; `name` the function's name.
    """

    instruction: str
    output: str
    language: str
    name: str
    doc_id: str
    start_line: int


@attrs.frozen(kw_only=True)
class _Function:
    """A function taken apart: byte offsets of its head (documentation included) and of its body."""

    name: str
    head: tuple[int, int]
    body: tuple[int, int]
    documentation: str
    start_line: int


def pairs(
    text: str,
    language: str,
    doc_id: str,
    *,
    min_docstring: int = 10,
    max_docstring: int = 1000,
    min_lines: int = 2,
    max_lines: int = 40,
) -> list[Pair]:
    """The documented functions of one document, in the order in which they stand.

    Kept are functions whose documentation has `min_docstring` to `max_docstring` characters and whose body
    has `min_lines` to `max_lines` lines that hold more than a closing brace. Left out: functions within
    functions, special methods such as `__init__`, bodies that do nothing, and whatever the grammar finds an
    error in. Empty for languages that are not in DOCUMENTED.
    """
    take_apart = DOCUMENTED.get(language)
    source = text.encode("utf-8", "replace")
    tree = treesitter.parse(source, language) if take_apart else None
    if tree is None or take_apart is None:
        return []
    nodes = treesitter.captures(tree, language)
    comments = {_end_before(source, node.end_byte): node for node in nodes.get("comment", ())}
    found = []
    for node in _outermost(nodes.get("function", [])):
        function = take_apart(source, node, comments)
        if function is None or not min_docstring <= len(function.documentation) <= max_docstring:
            continue
        head, output = _dedent(source, function)
        if min_lines <= sum(bool(line.strip(" \t\r}")) for line in output.split("\n")) <= max_lines:
            found.append(
                Pair(
                    instruction=INSTRUCTION.format(language=language, head=head),
                    output=output,
                    language=language,
                    name=function.name,
                    doc_id=doc_id,
                    start_line=function.start_line,
                )
            )
    return found


def _outermost(functions: list[Node]) -> list[Node]:
    """Functions that parse and lie within no other function."""
    outermost, end = [], -1
    for node in sorted(functions, key=lambda node: node.start_byte):
        if node.start_byte >= end:
            end = node.end_byte
            if not node.has_error:
                outermost.append(node)
    return outermost


def _text(source: bytes, start: int, end: int) -> str:
    return source[start:end].decode("utf-8", "replace")


def _dedent(source: bytes, function: _Function) -> tuple[str, str]:
    """Head and body with the indentation of the head's first line taken off every line."""
    line_start = source.rfind(b"\n", 0, function.head[0]) + 1
    before = _text(source, line_start, function.head[0])
    indent = before[: len(before) - len(before.lstrip())]
    head, body = (
        "\n".join(line.removeprefix(indent) for line in _text(source, *span).split("\n"))
        for span in (function.head, function.body)
    )
    return head.rstrip(), body.rstrip()


# ---------------------------------------------------------------- Python: a docstring within the body

_IDLE = re.compile(rb"pass|\.\.\.|raise NotImplementedError(?:\([^)]*\))?|return(?: None)?")


def _python(source: bytes, node: Node, _comments: dict[int, Node]) -> _Function | None:
    name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    docstring = treesitter.docstring_of(body)
    if name is None or body is None or docstring is None:
        return None
    title = _text(source, *name.byte_range)
    quotes = docstring.children
    newline = source.find(b"\n", docstring.end_byte, body.end_byte)
    rest_of_line = source[docstring.end_byte : newline] if newline != -1 else b"?"
    prefix = _text(source, *quotes[0].byte_range).lower()
    if rest_of_line.strip() or (title.startswith("__") and title.endswith("__")) or prefix.strip("ru\"'"):
        return None
    if all(_IDLE.fullmatch(source, *one.byte_range) for one in _statements(body, docstring.end_byte)):
        return None
    return _Function(
        name=title,
        head=(node.start_byte, docstring.end_byte),
        body=(newline + 1, body.end_byte),
        documentation=_text(source, quotes[0].end_byte, quotes[-1].start_byte).strip(),
        start_line=node.start_point.row + 1,
    )


def _statements(body: Node, after: int) -> list[Node]:
    """The statements of a body from byte `after` on."""
    return [child for child in body.named_children if child.start_byte >= after and child.type != "comment"]


# ---------------------------------------------------------------- others: a comment above the function

_GAP = re.compile(rb"[ \t]*\r?\n[ \t]*(?:export[ \t]+(?:default[ \t]+)?)?")
_MARKERS = re.compile(r"^[ \t]*(?:/\*{1,2}|//[/!]?|\*(?!/))?[ \t]?|\*/[ \t]*$", re.MULTILINE)
_INHERITED = re.compile(r"\{?@inheritdoc\}?|@override", re.IGNORECASE)
_GAP_BYTES = 200


def _under_comment(source: bytes, node: Node, comments: dict[int, Node], marks: tuple[bytes, ...]) -> _Function | None:
    """A function with a body in braces under a comment that begins with one of `marks`."""
    name, body = _name(source, node), node.child_by_field_name("body")
    span = _comment_above(source, node.start_byte, comments, marks)
    if span is None or body is None or not name or not _does_something(body):
        return None
    newline = source.find(b"\n", body.start_byte, body.end_byte)
    if newline == -1 or source[body.start_byte : newline].strip() != b"{":
        return None
    documentation = _MARKERS.sub("", _text(source, *span)).strip()
    if _INHERITED.fullmatch(documentation):
        return None
    return _Function(
        name=name,
        head=(span[0], body.start_byte + 1),
        body=(newline + 1, body.end_byte),
        documentation=documentation,
        start_line=node.start_point.row + 1,
    )


def _does_something(body: Node) -> bool:
    return any("comment" not in child.type for child in body.named_children)


def _comment_above(
    source: bytes, function: int, comments: dict[int, Node], marks: tuple[bytes, ...]
) -> tuple[int, int] | None:
    """Start and end of the comment right above a function; line comments on neighbouring lines are one."""
    end = _end_before(source, source.rfind(b"\n", 0, function) + 1)
    comment = comments.get(end)
    if comment is None or not _GAP.fullmatch(source, end, function):
        return None
    start: int | None = comment.start_byte
    first = None
    while start is not None and source.startswith(marks, start):
        first = start
        start = _neighbour_above(source, start, comments) if source.startswith(b"//", start) else None
    return None if first is None else (first, end)


def _neighbour_above(source: bytes, start: int, comments: dict[int, Node]) -> int | None:
    """Where the comment on the line above the one that starts at `start` starts."""
    end = _end_before(source, start)
    above = comments.get(end)
    return above.start_byte if above is not None and source.count(b"\n", end, start) == 1 else None


def _end_before(source: bytes, position: int) -> int:
    """The position after the last byte before `position` that is not white space; not looking far."""
    near = source[max(position - _GAP_BYTES, 0) : position]
    return position - (len(near) - len(near.rstrip()))


def _name(source: bytes, node: Node) -> str:
    """The function's name; C and C++ wrap it in declarators."""
    named = node.child_by_field_name("name")
    inner: Node | None = node
    while named is None and inner is not None:
        inner = inner.child_by_field_name("declarator")
        if inner is not None and inner.child_by_field_name("declarator") is None:
            named = inner
    return "" if named is None else _text(source, *named.byte_range)


def _javadoc(source: bytes, node: Node, comments: dict[int, Node]) -> _Function | None:
    return _under_comment(source, node, comments, (b"/**",))


def _doc_comment(source: bytes, node: Node, comments: dict[int, Node]) -> _Function | None:
    return _under_comment(source, node, comments, (b"/**", b"///"))


def _go_comment(source: bytes, node: Node, comments: dict[int, Node]) -> _Function | None:
    """Go documents a function in a comment that begins with its name."""
    function = _under_comment(source, node, comments, (b"//",))
    return function if function is not None and function.documentation.startswith(function.name) else None


# Languages with pairs, and how their functions are taken apart.
DOCUMENTED: dict[str, Callable[[bytes, Node, dict[int, Node]], _Function | None]] = {
    "python": _python,
    "java": _javadoc,
    "javascript": _javadoc,
    "typescript": _javadoc,
    "tsx": _javadoc,
    "php": _javadoc,
    "c": _doc_comment,
    "cpp": _doc_comment,
    "rust": _doc_comment,
    "go": _go_comment,
}
