"""One tree for one document, under a budget of work, and its nodes by group.

No clock is looked at, so that a document gets the same answer on every machine: a hostile input is cut off after
a number of parser steps that depends on its length alone. Nothing here recurses in Python, however deep a tree.
"""

from __future__ import annotations

import importlib
import threading
from functools import cache

from tree_sitter import Language, Node, Parser, Point, Query, QueryCursor, Tree

from runtime.data.treesitter.grammars import GRAMMARS
from runtime.data.treesitter.nesting import too_deep

# Longer files are not parsed: the published filter drops them, and a tree takes some 50 times its text.
MAX_PARSE_BYTES = 3_000_000

# Parser steps of a hundred operations, and reads, that a document of n bytes may take: BASE + RATE * n. Files
# of the corpus take up to 0.03 steps a byte, the densest valid code (`[1, 1, 1, ...]`, `x = 1` line by line)
# 0.067. Steps see neither the depth of HTML, for which see `nesting`, nor memory: `isolated` bounds that, and is what
# whoever parses text from outside calls.
_BASE_STEPS, _STEPS_PER_BYTE = 500, 0.08
_BASE_READS, _READS_PER_BYTE = 200, 0.005
_READ_BYTES = 1 << 16

# Children of one error node above which a query is slower than a walk.
_WIDE = 2_000

# What `captures` finds unless it is told otherwise.
GROUPS = ("function", "import", "comment", "string", "error")

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
    if own is None or len(source) > MAX_PARSE_BYTES or (language == "html" and too_deep(source)):
        return None
    meter = _Meter(source)
    try:
        tree = own.parse(meter.read, progress_callback=meter.step)
    except ValueError:  # raised for a cancelled parse, which the next call would resume without a reset
        own.reset()
        return None
    return tree if meter.reads >= 0 else None


@cache
def kinds(language: str, groups: tuple[str, ...]) -> dict[str, str]:
    """Node type -> group, for every type of the table that belongs to one of `groups`, and for errors."""
    grammar = GRAMMARS[language]
    all_kinds = {
        "function": grammar.functions,
        "class": grammar.classes,
        "import": grammar.imports,
        "comment": grammar.comments,
        "string": grammar.strings,
        "return": grammar.returns,
        "declaration": grammar.declarations,
        "pass": grammar.passes,
        "aside": grammar.asides,
        "markup": grammar.markup,
        "call": grammar.calls,
        "error": ("ERROR",),
    }
    return {kind: group for group in groups for kind in all_kinds[group]}


@cache
def _query(language: str, groups: tuple[str, ...]) -> Query:
    # Named nodes only: a keyword such as Ruby's `class` is a node of its own under the one that it opens.
    patterns = [f"({kind}) @{group}" for kind, group in kinds(language, groups).items()]
    return Query(_language(language), "\n".join(patterns))


def captures(tree: Tree, language: str, groups: tuple[str, ...] = GROUPS) -> dict[str, list[Node]]:
    """Nodes by group, no recursion in Python; a group without nodes is left out.

    A query runs in C, but takes time quadratic in the children of one node. Only error nodes have that many.
    """
    if _widest_error(tree.root_node) > _WIDE:
        return walk(tree, kinds(language, groups))
    return QueryCursor(_query(language, groups)).captures(tree.root_node)


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


def walk(tree: Tree, groups: dict[str, str]) -> dict[str, list[Node]]:
    """What the query gives, by visiting every node: linear in all cases, but slower on common ones."""
    found: dict[str, list[Node]] = {}
    cursor = tree.walk()
    while True:
        node = cursor.node
        assert node is not None
        group = groups.get(node.type) if node.is_named else None
        if group is not None:
            found.setdefault(group, []).append(node)
        if cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return found
