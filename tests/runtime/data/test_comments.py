"""Comment markers by language: the generated table, the one by hand, and Pygments as a witness of both."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from runtime.data.comments import comment_syntax, commented_languages
from runtime.data.languages import doc_type, known_languages
from runtime.data.treesitter import GRAMMARS


def test_names_are_those_of_the_table_of_languages():
    """A misspelt name would never be asked for."""
    assert set(commented_languages()) <= set(known_languages())


def test_many_languages_are_known():
    """Every one with a grammar, and most of those that are code."""
    known = set(commented_languages())
    assert len(known) > 500
    assert set(GRAMMARS) <= known
    code = {language for language in known_languages() if doc_type(language) == "code"}
    assert len(code & known) / len(code) > 0.75


@pytest.mark.parametrize("language", ["json", "csv", "text", "no such language", None])
def test_without_comments(language):
    """Formats that have none, and what is not known."""
    assert comment_syntax(language) is None


@pytest.mark.parametrize(
    ("language", "line", "block"),
    [
        ("python", "#", None),
        ("c", "//", ("/*", "*/")),
        ("html", None, ("<!--", "-->")),
        ("ocaml", None, ("(*", "*)")),
        ("erlang", "%", None),
        ("batchfile", "REM ", None),
        ("vim script", '"', None),
        ("common lisp", ";", ("#|", "|#")),
        ("ruby", "#", ("=begin", "=end")),
        ("gdscript", "#", None),
        ("roff", '.\\"', None),
        ("wolfram language", None, ("(*", "*)")),
        ("scilab", "//", None),
    ],
)
def test_markers(language, line, block):
    """One of each family."""
    syntax = comment_syntax(language)
    assert line is None or line in syntax.line
    assert block is None or block in syntax.block


def test_markers_are_not_empty_and_no_operators():
    """An empty marker would start a comment anywhere; `*` would take products for comments."""
    for language in commented_languages():
        syntax = comment_syntax(language)
        markers = [*syntax.line, *(marker for pair in syntax.block for marker in pair)]
        assert markers
        assert all(marker.strip() and marker not in {"*", "|", "-"} for marker in markers), language


def test_the_generated_table_says_where_it_is_from():
    """It is checked in and loaded by every worker."""
    text = files("runtime.data").joinpath("comments.json").read_text(encoding="utf-8")
    assert len(text) < 30_000
    assert json.loads(text)["source"].startswith("PyPI Pygments ")
