"""Signals of the syntax tree that mean the same in every language with a grammar.

All are None where there is no grammar, or where the grammar's table does not name what is counted. Shares of lines
have the code lines below them: lines with something on them once comments are taken out.
"""

from __future__ import annotations

from runtime.data.signals.document import Document, ratio
from runtime.data.treesitter import GRAMMARS, Grammar


def _grammar(document: Document) -> Grammar | None:
    return GRAMMARS.get(document.language or "")


def _share_of_lines(count: int, document: Document) -> float | None:
    """A count of lines over code lines, at most 1."""
    return ratio(min(count, len(document.code_lines)), len(document.code_lines))


def _import_lines(document: Document) -> int:
    """Lines of import statements, the inner lines of one that spans several counted."""
    spans = document.structure.imports if document.structure else ()
    return sum(document.raw[start:end].rstrip().count(b"\n") + 1 for start, end in spans)


def frac_lines_func_ratio(document: Document) -> float | None:
    """Functions and methods that have a name and a body over code lines; a minified file can exceed 1."""
    grammar = _grammar(document)
    if document.structure is None or grammar is None or not grammar.functions:
        return None
    return ratio(document.structure.functions, len(document.code_lines))


def frac_lines_import(document: Document) -> float | None:
    """Lines of import statements over code lines."""
    grammar = _grammar(document)
    if document.structure is None or grammar is None or not (grammar.imports or grammar.import_calls):
        return None
    return _share_of_lines(_import_lines(document), document)


def frac_lines_print(document: Document) -> float | None:
    """Lines on which a statement that prints begins over code lines."""
    grammar = _grammar(document)
    if document.structure is None or grammar is None or grammar.prints is None:
        return None
    return _share_of_lines(document.structure.print_lines, document)


def score_lines_no_logic(document: Document) -> float | None:
    """Functions, classes, import lines, simple returns and simple declarations over code lines; can exceed 1."""
    grammar, found = _grammar(document), document.structure
    if found is None or grammar is None or not grammar.returns:
        return None
    without_logic = found.functions + found.classes + found.simple_returns + found.simple_variables
    return ratio(without_logic + _import_lines(document), len(document.code_lines))


def cate_var_zero(document: Document) -> float | None:
    """1 if nothing is declared or assigned (Python: and no function takes a parameter)."""
    grammar = _grammar(document)
    if document.structure is None or grammar is None or not grammar.declarations:
        return None
    return float(document.structure.variables == 0)


def frac_bytes_error(document: Document) -> float | None:
    """Bytes under nodes that the grammar could not make sense of over bytes."""
    if document.structure is None:
        return None
    return ratio(document.structure.error_bytes, len(document.raw))


def has_parse_error(document: Document) -> float | None:
    """1 if the grammar found an error anywhere."""
    return None if document.structure is None else float(document.structure.has_error)
