"""File names to languages, languages to document types and comment syntax."""

from __future__ import annotations

from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.data.languages import (
    comment_syntax,
    commented_languages,
    doc_type,
    known_languages,
    language_of,
)
from runtime.data.treesitter import GRAMMARS


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a.py", "python"),
        ("src/b.JS", "javascript"),
        ("b.jsx", "javascript"),
        ("c.ts", "typescript"),
        ("c.d.ts", "typescript"),
        ("d.tsx", "tsx"),
        ("e.c", "c"),
        ("e.h", "c"),
        ("f.cpp", "cpp"),
        ("f.hh", "cpp"),
        ("g.cs", "csharp"),
        ("h.java", "java"),
        ("i.go", "go"),
        ("j.rs", "rust"),
        ("k.rb", "ruby"),
        ("l.php", "php"),
        ("m.html", "html"),
        ("n.css", "css"),
        ("o.sh", "shell"),
        ("p.sql", "sql"),
        ("q.kt", "kotlin"),
        ("r.scala", "scala"),
        ("s.lua", "lua"),
        ("t.pl", "perl"),
        ("u.R", "r"),
        ("v.swift", "swift"),
        ("w.hs", "haskell"),
        ("x.json", "json"),
        ("y.yml", "yaml"),
        ("y.yaml", "yaml"),
        ("z.xml", "xml"),
        ("pyproject.toml", "toml"),
        ("README.md", "markdown"),
        ("index.rst", "restructuredtext"),
        ("notes.txt", "text"),
        ("lib/Makefile", "makefile"),
        ("Dockerfile", "dockerfile"),
        ("CMakeLists.txt", "cmake"),
        ("page.html.erb", "html+erb"),
        ("a.m", "objective-c"),
        ("a.asm", "assembly"),
    ],
)
def test_language_of(path, language):
    """Common files, any case of the extension, exact names before extensions, longest extension first."""
    assert language_of(path) == language


@pytest.mark.parametrize("path", ["", "/", "README", "x.unknownext", "dir.py/x", "archive.tar.gz", "."])
def test_unknown_names_have_no_language(path):
    """The folder's name never counts."""
    assert language_of(path) is None


@pytest.mark.parametrize(
    ("kind", "languages"),
    [
        ("code", ["python", "html", "css", "sql", "makefile", "dockerfile"]),
        ("data", ["json", "yaml", "xml", "toml", "csv", "svg", "jupyter notebook"]),
        ("text", ["markdown", "restructuredtext", "text", "tex"]),
    ],
)
def test_doc_type(kind, languages):
    """Three types; what the table does not know is data, which few rules keep."""
    assert {doc_type(language) for language in languages} == {kind}
    assert doc_type("no such language") == "data"


def test_every_language_with_a_grammar_or_comments_is_in_the_table():
    """The hand-written tables use the names of the generated one."""
    assert set(GRAMMARS) | set(commented_languages()) <= set(known_languages())


def test_the_table_is_small_and_says_where_it_is_from():
    """It is checked in and loaded by every worker."""
    text = files("runtime.data").joinpath("languages.json").read_text(encoding="utf-8")
    assert len(text) < 200_000
    assert "linguist-languages" in text[:200]
    assert len(known_languages()) > 600


def test_comment_syntax():
    """Line and block markers; None where the table is silent."""
    assert comment_syntax("python").line == ("#",)
    assert comment_syntax("c").block == (("/*", "*/"),)
    assert comment_syntax("json") is None
    assert comment_syntax(None) is None


@given(st.text(max_size=50))
def test_language_of_takes_any_name(path):
    """File names in the wild hold anything; the answer is a known language or None."""
    assert language_of(path) in {None, *known_languages()}
