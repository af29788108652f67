"""The signals of single languages, and with those of the syntax tree the part of the table that needs a grammar."""

from __future__ import annotations

import html
from pathlib import PurePosixPath

from runtime.data.signals import structure
from runtime.data.signals.document import Document, ratio
from runtime.data.signals.signal import Signal
from runtime.data.treesitter import merge, outside

_CODE = ("code",)
_C_FAMILY = ("c", "cpp")
_HEADERS = frozenset({".h", ".hpp", ".hxx", ".hh", ".h++"})


def frac_lines_pass(document: Document) -> float | None:
    """Python: lines with a pass statement over code lines."""
    if document.language != "python" or document.structure is None:
        return None
    return ratio(document.structure.pass_lines, len(document.code_lines))


def frac_lines_simplefunc(document: Document) -> float | None:
    """Python: functions whose body is one return over code lines."""
    if document.language != "python" or document.structure is None:
        return None
    return ratio(document.structure.simple_functions, len(document.code_lines))


def nums_lines_main(document: Document) -> float | None:
    """C and C++: functions called main that have a body."""
    if document.language not in _C_FAMILY or document.structure is None:
        return None
    return document.structure.mains


def frac_lines_preprocessor_directives(document: Document) -> float | None:
    """C and C++: lines of directives, and lines on which a struct, a using or an alias begins, over code lines.

    None for headers, which are made of them, and where the path that would tell is not known.
    """
    suffix = PurePosixPath(document.path).suffix.lower()
    if document.language not in _C_FAMILY or document.structure is None or not suffix or suffix in _HEADERS:
        return None
    directives = sum(line.startswith(b"#") for line in document.code_lines)
    lines = len(document.code_lines)
    return ratio(min(directives + document.structure.aside_lines, lines), lines)


def cate_testfile(document: Document) -> float | None:
    """Go: 1 if the file's name ends in _test.go; None where the path is not known."""
    if document.language != "go" or not document.path:
        return None
    return float(document.path.lower().endswith("_test.go"))


def _visible(document: Document) -> str | None:
    """The text that a browser shows, white space between tags included."""
    if document.language != "html" or document.structure is None:
        return None
    hidden = merge((*document.structure.markup, *document.structure.comments))
    return html.unescape(outside(document.raw, hidden).decode("utf-8", "replace"))


def frac_words_text(document: Document) -> float | None:
    """HTML: characters outside of tags, comments, scripts and styles over characters."""
    visible = _visible(document)
    return None if visible is None else ratio(min(len(visible), len(document.text)), len(document.text))


def num_chars_text(document: Document) -> float | None:
    """HTML: characters outside of tags, comments, scripts and styles."""
    visible = _visible(document)
    return None if visible is None else len(visible)


LANGUAGE_SIGNALS: tuple[Signal, ...] = (
    Signal(structure.frac_lines_func_ratio, _CODE),
    Signal(structure.frac_lines_import, _CODE),
    Signal(structure.frac_lines_print, _CODE),
    Signal(structure.score_lines_no_logic, _CODE),
    Signal(structure.cate_var_zero, _CODE),
    Signal(structure.frac_bytes_error, _CODE),
    Signal(structure.has_parse_error, _CODE),
    Signal(frac_lines_pass, _CODE),
    Signal(frac_lines_simplefunc, _CODE),
    Signal(nums_lines_main, _CODE),
    Signal(frac_lines_preprocessor_directives, _CODE),
    Signal(cate_testfile, _CODE),
    Signal(frac_words_text, _CODE),
    Signal(num_chars_text, _CODE),
)
