"""Parsing source code with tree-sitter: one tree, counted once, under a budget of work.

Not a linter and not a language server. It answers: how many functions, classes, variables and imports, which
bytes are comments or strings, which bytes could not be parsed. It never looks at a clock, so that a document gets
the same answer on every machine. Memory is bounded by `runtime.data.treesitter.isolated` alone, which runs `structure`
in a process of its own: text from outside is parsed through it.
"""

from __future__ import annotations

from runtime.data.treesitter.counting import Structure, docstring_of, structure
from runtime.data.treesitter.grammars import GRAMMARS, Grammar
from runtime.data.treesitter.parsing import MAX_PARSE_BYTES, captures, parse, parser
from runtime.data.treesitter.spans import Span, merge, outside, total

__all__ = [
    "GRAMMARS",
    "MAX_PARSE_BYTES",
    "Grammar",
    "Span",
    "Structure",
    "captures",
    "docstring_of",
    "merge",
    "outside",
    "parse",
    "parser",
    "structure",
    "total",
]
