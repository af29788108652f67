"""File names to languages, languages to document types. Contents: test_heuristics.py."""

from __future__ import annotations

import re
from collections import Counter
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.data.languages import (
    canonical_language,
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


def test_every_language_with_a_grammar_is_in_the_table():
    """The hand-written tables use the names of the generated one."""
    assert set(GRAMMARS) <= set(known_languages())


def test_the_table_is_small_and_says_where_it_is_from():
    """It is checked in and loaded by every worker."""
    for name in ("languages.json", "heuristics.json"):
        text = files("runtime.data").joinpath(name).read_text(encoding="utf-8")
        assert len(text) < 200_000
        assert re.match(r'\{\n"source": "GitHub Linguist [0-9.]+ \(MIT\), commit [0-9a-f]{40}"', text)


def test_how_many_types():
    """The paper has 607, 470 of code, 115 of data and 22 of text; Linguist has gone on since."""
    counts = Counter(doc_type(language) for language in known_languages())
    assert counts == {"code": 623, "data": 183, "text": 23}


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("C++", "cpp"),
        ("c#", "csharp"),
        ("Python", "python"),
        ("golang", "go"),
        ("Objective-C", "objective-c"),
        ("Jupyter Notebook", "jupyter notebook"),
        ("jupyter-notebook", "jupyter notebook"),
        ("bash", "shell"),
        ("Klingon", "klingon"),
        ("", ""),
    ],
)
def test_canonical_language(name, language):
    """Sources use Linguist's names, their aliases, or their own."""
    assert canonical_language(name) == language


@given(st.text(max_size=50))
def test_language_of_takes_any_name(path):
    """File names in the wild hold anything; the answer is a known language or None."""
    assert language_of(path) in {None, *known_languages()}
