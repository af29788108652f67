"""Parsing source code with tree-sitter: one tree, counted once, under a budget of work.

Not a linter and not a language server. It answers: how many functions and imports, which bytes are comments
or strings, which bytes could not be parsed. It never looks at a clock, so that a document gets the same
answer on every machine: a hostile input is cut off after a number of parser steps that depends on its length
alone.

The grammars are the single `tree-sitter-<language>` wheels: packs of many languages fetch grammars when used.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterable, Iterator
from functools import cache

import attrs
from tree_sitter import Language, Node, Parser, Point, Query, QueryCursor, Tree

# Longer files are not parsed: the published filter drops them, and a tree takes some 50 times its text.
MAX_PARSE_BYTES = 3_000_000

# Parser steps of a hundred operations, and reads, that a document of n bytes may take: BASE + RATE * n. Real
# files were seen to take up to 60 % of the steps and 13 % of the reads; a long line of unmatched brackets,
# 170 %.
_BASE_STEPS, _STEPS_PER_BYTE = 500, 0.03
_BASE_READS, _READS_PER_BYTE = 200, 0.005
_READ_BYTES = 1 << 16

# Children of one error node above which a query is slower than a walk.
_WIDE = 2_000

Span = tuple[int, int]


@attrs.frozen(kw_only=True)
class Grammar:
    """Where a grammar comes from and what its node types mean here.

    `functions` are definitions with a body and a name (no lambdas, no callbacks); `imports` are whole import
    statements; `docstrings` says that a string standing alone at the head of a body is documentation.
    """

    module: str
    attribute: str = "language"
    functions: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    comments: tuple[str, ...] = ("comment",)
    strings: tuple[str, ...] = ()
    docstrings: bool = False


_SCRIPT_FUNCTIONS = ("function_declaration", "generator_function_declaration", "method_definition")
_C_STRINGS = ("string_literal", "system_lib_string")

GRAMMARS: dict[str, Grammar] = {
    "python": Grammar(
        module="tree_sitter_python",
        functions=("function_definition",),
        imports=("import_statement", "import_from_statement", "future_import_statement"),
        strings=("string",),
        docstrings=True,
    ),
    "javascript": Grammar(
        module="tree_sitter_javascript",
        functions=_SCRIPT_FUNCTIONS,
        imports=("import_statement",),
        comments=("comment", "html_comment"),
        strings=("string", "template_string"),
    ),
    "typescript": Grammar(
        module="tree_sitter_typescript",
        attribute="language_typescript",
        functions=_SCRIPT_FUNCTIONS,
        imports=("import_statement", "import_alias"),
        comments=("comment", "html_comment"),
        strings=("string", "template_string"),
    ),
    "tsx": Grammar(
        module="tree_sitter_typescript",
        attribute="language_tsx",
        functions=_SCRIPT_FUNCTIONS,
        imports=("import_statement", "import_alias"),
        comments=("comment", "html_comment"),
        strings=("string", "template_string"),
    ),
    "c": Grammar(
        module="tree_sitter_c",
        functions=("function_definition",),
        imports=("preproc_include",),
        strings=_C_STRINGS,
    ),
    "cpp": Grammar(
        module="tree_sitter_cpp",
        functions=("function_definition",),
        imports=("preproc_include",),
        strings=(*_C_STRINGS, "raw_string_literal"),
    ),
    "java": Grammar(
        module="tree_sitter_java",
        functions=("method_declaration", "constructor_declaration", "compact_constructor_declaration"),
        imports=("import_declaration",),
        comments=("line_comment", "block_comment"),
        strings=("string_literal",),
    ),
    "go": Grammar(
        module="tree_sitter_go",
        functions=("function_declaration", "method_declaration"),
        imports=("import_declaration",),
        strings=("interpreted_string_literal", "raw_string_literal"),
    ),
    "rust": Grammar(
        module="tree_sitter_rust",
        functions=("function_item",),
        imports=("use_declaration",),
        comments=("line_comment", "block_comment"),
        strings=("string_literal", "raw_string_literal"),
    ),
    "ruby": Grammar(
        module="tree_sitter_ruby",
        functions=("method", "singleton_method"),
        strings=("string", "string_array", "heredoc_body"),
    ),
    "php": Grammar(
        module="tree_sitter_php",
        attribute="language_php",
        functions=("function_definition", "method_declaration"),
        imports=("namespace_use_declaration", "include_expression", "include_once_expression"),
        strings=("string", "encapsed_string", "heredoc", "nowdoc_string"),
    ),
    "shell": Grammar(
        module="tree_sitter_bash",
        functions=("function_definition",),
        strings=("string", "raw_string", "ansi_c_string", "heredoc_body"),
    ),
    "html": Grammar(module="tree_sitter_html"),
    "css": Grammar(
        module="tree_sitter_css",
        imports=("import_statement",),
        comments=("comment", "js_comment"),
        strings=("string_value",),
    ),
}


@attrs.frozen(kw_only=True)
class Structure:
    """What a tree says of its text. Spans are [start, end) byte offsets, sorted, disjoint."""

    functions: int
    imports: tuple[Span, ...]
    comments: tuple[Span, ...]
    strings: tuple[Span, ...]
    errors: tuple[Span, ...]
    has_error: bool

    @property
    def comment_bytes(self) -> int:
        """Bytes in comments and docstrings."""
        return total(self.comments)

    @property
    def string_bytes(self) -> int:
        """Bytes in string literals, their quotes included, docstrings not."""
        return total(self.strings)

    @property
    def error_bytes(self) -> int:
        """Bytes under nodes that the parser could not make sense of."""
        return total(self.errors)


def total(spans: Iterable[Span]) -> int:
    """The bytes that disjoint spans cover.

    >>> total([(0, 2), (5, 9)])
    6
    """
    return sum(end - start for start, end in spans)


def merge(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The union of spans, sorted and disjoint; spans that touch stay apart.

    >>> merge([(4, 9), (0, 2), (5, 6), (2, 3)])
    ((0, 2), (2, 3), (4, 9))
    """
    union: list[Span] = []
    for start, end in sorted(spans):
        if union and start < union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        else:
            union.append((start, end))
    return tuple(union)


_local = threading.local()


@cache
def _language(language: str) -> Language:
    grammar = GRAMMARS[language]
    return Language(getattr(importlib.import_module(grammar.module), grammar.attribute)())


def parser(language: str) -> Parser | None:
    """The parser of `language` for the calling thread, or None where there is no grammar."""
    if language not in GRAMMARS:
        return None
    parsers: dict[str, Parser] = _local.__dict__.setdefault("parsers", {})
    if language not in parsers:
        parsers[language] = Parser(_language(language))
    return parsers[language]


class _Meter:
    """Feeds a document to the parser and stops it when its budget of steps and reads is used up."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.steps = _BASE_STEPS + int(_STEPS_PER_BYTE * len(source))
        self.reads = _BASE_READS + int(_READS_PER_BYTE * len(source))

    def read(self, offset: int, _point: Point) -> bytes:
        """The next bytes; none once the budget is used up, which the parser takes for the end of the file."""
        self.reads -= 1
        return self.source[offset : offset + _READ_BYTES] if self.reads >= 0 else b""

    def step(self, _offset: int, _has_error: bool) -> bool:
        """Called every hundred operations; true cancels."""
        self.steps -= 1
        return self.steps < 0 or self.reads < 0


def parse(source: bytes, language: str) -> Tree | None:
    """The tree of `source`, or None: no grammar, over MAX_PARSE_BYTES, or too much work for its length."""
    own = parser(language)
    if own is None or len(source) > MAX_PARSE_BYTES:
        return None
    meter = _Meter(source)
    try:
        tree = own.parse(meter.read, progress_callback=meter.step)
    except ValueError:  # raised for a cancelled parse, which the next call would resume without a reset
        own.reset()
        return None
    return tree if meter.reads >= 0 else None


@cache
def _kinds(language: str) -> dict[str, str]:
    """Node type -> group, for every type of the table and for errors."""
    grammar = GRAMMARS[language]
    groups = {
        "function": grammar.functions,
        "import": grammar.imports,
        "comment": grammar.comments,
        "string": grammar.strings,
        "error": ("ERROR",),
    }
    return {kind: group for group, kinds in groups.items() for kind in kinds}


@cache
def _query(language: str) -> Query:
    patterns = [f"({kind}) @{group}" for kind, group in _kinds(language).items()]
    return Query(_language(language), "\n".join(patterns))


def captures(tree: Tree, language: str) -> dict[str, list[Node]]:
    """Nodes by group (function, import, comment, string, error), in document order; no recursion in Python.

    A query runs in C, but takes time quadratic in the children of one node. Only error nodes have that many.
    """
    if _widest_error(tree.root_node) > _WIDE:
        return _walk(tree, _kinds(language))
    return QueryCursor(_query(language)).captures(tree.root_node)


def _widest_error(root: Node) -> int:
    """The most children that an error node has; only the branches that hold errors are looked at."""
    widest = 0
    branches = [root] if root.has_error else []
    while branches:
        node = branches.pop()
        children = node.children
        if node.is_error:
            widest = max(widest, len(children))
        branches.extend(child for child in children if child.has_error)
    return widest


def _walk(tree: Tree, kinds: dict[str, str]) -> dict[str, list[Node]]:
    """What the query gives, by visiting every node: linear in all cases, but slower on common ones."""
    found: dict[str, list[Node]] = {}
    cursor = tree.walk()
    while True:
        node = cursor.node
        assert node is not None
        group = kinds.get(node.type)
        if group is not None:
            found.setdefault(group, []).append(node)
        if cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return found


def docstring_of(body: Node | None) -> Node | None:
    """The string that stands alone at the head of a body, comments skipped, or None."""
    if body is None:
        return None
    for index in range(body.named_child_count):
        first = body.named_child(index)
        if first.type == "comment":
            continue
        if first.type != "expression_statement" or first.named_child_count != 1:
            return None
        string = first.named_child(0)
        return string if string.type == "string" else None
    return None


def _docstrings(tree: Tree, functions: list[Node]) -> Iterator[Node]:
    """Docstrings of the module, of functions and of the classes right under the module."""
    root = tree.root_node
    classes = [child for child in root.named_children if child.type == "class_definition"]
    bodies = [root, *(owner.child_by_field_name("body") for owner in (*classes, *functions))]
    for body in bodies:
        found = docstring_of(body)
        if found is not None:
            yield found


def _spans(nodes: Iterable[Node]) -> tuple[Span, ...]:
    return merge(node.byte_range for node in nodes)


def structure(source: bytes, language: str) -> Structure | None:
    r"""Parse `source` and count; None without a grammar or over MAX_PARSE_BYTES.

    >>> found = structure(b"import os\n\ndef f():\n    'Doc.'\n    return '#'  # no\n", "python")
    >>> found.functions, found.imports, found.comment_bytes, found.string_bytes, found.has_error
    (1, ((0, 9),), 10, 3, False)
    >>> structure(b"x", "cobol") is None
    True
    """
    if language not in GRAMMARS or len(source) > MAX_PARSE_BYTES:
        return None
    tree = parse(source, language)
    if tree is None:
        return _gave_up(len(source))
    nodes = captures(tree, language)
    functions = nodes.get("function", [])
    docs = set(_spans(_docstrings(tree, functions))) if GRAMMARS[language].docstrings else set()
    return Structure(
        functions=len(functions),
        imports=_spans(nodes.get("import", ())),
        comments=merge((*_spans(nodes.get("comment", ())), *docs)),
        strings=tuple(span for span in _spans(nodes.get("string", ())) if span not in docs),
        errors=_spans(nodes.get("error", ())),
        has_error=tree.root_node.has_error,
    )


def _gave_up(size: int) -> Structure:
    """A document that used up its budget is one error: being hostile must not let it pass the rules."""
    return Structure(functions=0, imports=(), comments=(), strings=(), errors=((0, size),), has_error=True)
