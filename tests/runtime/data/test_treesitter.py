"""The parser: counts by hand on small sources, and bounded work on hostile ones."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.data import treesitter
from runtime.data.treesitter import GRAMMARS, merge, nesting, parse, parser, parsing, structure, total
from tests.pace import within

SOURCES = {
    "python": (
        b'import os\nfrom a import b\n\nasync def f():\n    "Doc."\n    return "s"  # c\n',
        1,
        2,
        9,
        3,
    ),
    "javascript": (
        b'import a from "b";\nfunction f() {}\nclass C { m() {} }\n// c\nlet g = () => `t`;\n',
        2,
        1,
        4,
        6,
    ),
    "typescript": (b'import a from "b";\nfunction f(x: number): void {}\n/* c */\n', 1, 1, 7, 3),
    "tsx": (b"function F() { return <b>x</b>; }\n// c\n", 1, 0, 4, 0),
    "c": (b'#include "a.h"\nint f(void) { return g(1); } // c\nchar *s = "t";\n', 1, 1, 4, 8),
    "cpp": (b"#include <a>\nint A::f() { return 1; } // c\nauto g = [] { return 2; };\n", 1, 1, 4, 3),
    "java": (b'import a.b;\nclass A { A() {} int f() { return 1; } /* c */ String s = "t"; }\n', 2, 1, 7, 3),
    "csharp": (b'using A.B;\nclass C { C() {} int F() => 1; abstract int G(); /* c */ string s = "t"; }\n', 2, 1, 7, 3),
    "go": (b'package a\nimport (\n"b"\n)\nfunc f() {}\nfunc (a A) g() {}\n// c\n', 2, 1, 4, 3),
    "rust": (b'use a::b;\nfn f() -> u8 { 1 }\n// c\nconst S: &str = "t";\n', 1, 1, 4, 3),
    "ruby": (b'def f\n  "t"\nend\ndef self.g; end\n# c\n', 2, 0, 3, 3),
    "php": (b"<?php\nuse A\\B;\nfunction f() { return 't'; }\n// c\n", 1, 1, 4, 3),
    "shell": (b'f() { echo "t"; }\n# c\n', 1, 0, 3, 3),
    "html": (b"<p>x</p><!-- c -->\n", 0, 0, 10, 0),
    "css": (b'@import "a";\n/* c */\np { color: red }\n', 0, 1, 7, 3),
}


@pytest.mark.parametrize("language", GRAMMARS)
def test_counts_by_hand(language):
    """Functions with a name and a body, imports, bytes of comments and docstrings, bytes of strings."""
    source, functions, imports, comments, strings = SOURCES[language]
    found = structure(source, language)
    assert found is not None
    assert not found.has_error
    assert found.errors == ()
    assert (found.functions, len(found.imports)) == (functions, imports)
    assert (found.comment_bytes, found.string_bytes) == (comments, strings)


@pytest.mark.parametrize("language", GRAMMARS)
def test_the_slow_walk_finds_what_the_query_finds(language):
    """Two ways through the tree, one answer; also where the source is cut in the middle."""
    for source in (SOURCES[language][0], SOURCES[language][0][:-9] + b"((("):
        tree = parse(source, language)
        quick = treesitter.captures(tree, language)
        slow = parsing.walk(tree, parsing.kinds(language, parsing.GROUPS))
        assert quick.keys() == slow.keys()
        for group, nodes in quick.items():
            assert [node.byte_range for node in slow[group]] == sorted(node.byte_range for node in nodes)


def test_docstrings_are_comments_and_no_strings():
    """Of the module, a class and a function; a string that is an expression elsewhere stays a string."""
    source = b"'''M'''\nclass A:\n 'A'\n x = 'no'\n def f(self):\n  # first\n  'F'\n  'no'\n"
    found = structure(source, "python")
    assert [source[a:b] for a, b in found.comments] == [b"'''M'''", b"'A'", b"# first", b"'F'"]
    assert [source[a:b] for a, b in found.strings] == [b"'no'", b"'no'"]


def test_errors_are_bytes_not_verdicts():
    """A broken line is a small share of a file that otherwise parses."""
    source = b"x = 1\n" * 100 + b"y = = 2 )\n" + b"z = 3\n" * 100
    found = structure(source, "python")
    assert found.has_error
    assert 0 < found.error_bytes < 20


def test_no_grammar_no_answer():
    """Nothing is guessed for other languages or for files over the limit."""
    assert parser("cobol") is None
    assert parse(b"x", "cobol") is None
    assert structure(b"x", "cobol") is None
    assert structure(b" " * (treesitter.MAX_PARSE_BYTES + 1), "python") is None


def test_each_thread_has_its_own_parser():
    """A tree-sitter parser must not be shared between threads; within one it is kept."""
    others = []
    thread = threading.Thread(target=lambda: others.append(parser("python")))
    thread.start()
    thread.join()
    assert parser("python") is parser("python")
    assert others[0] is not parser("python")


def test_spans():
    """Nested spans count once."""
    assert merge([(0, 10), (2, 3), (8, 12)]) == ((0, 12),)
    assert total(merge([(0, 10), (2, 3), (8, 12)])) == 12


HOSTILE = {
    "round brackets": b"(" * 30_000,
    "square brackets": b"[" * 30_000,
    "nested brackets": b"[" * 15_000 + b"]" * 15_000,
    "tags": b"<a>" * 4_000,
    "quotes": b'"' * 8_001,
    "zeros": b"\0" * 20_000,
    "conditions": b"if (a) {" * 5_000,
    "one line": b"x = [" + b"1, " * 8_000 + b"]\n",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_sources_take_bounded_work(source):
    """Without the budget the shell grammar alone takes eleven seconds for one of these."""
    with within(20):
        for language in GRAMMARS:
            assert structure(source, language) is not None


@pytest.mark.parametrize("piece", [b"<a>", b"<<A\n", b"<p><b>", b"<td><p>"])
def test_html_that_nests_without_end_is_one_error(piece):
    """The grammar's time is quadratic in open tags: without a bound an hour for 3 MB."""
    source = piece * (treesitter.MAX_PARSE_BYTES // len(piece))
    with within(10):
        assert structure(source, "html").errors == ((0, len(source)),)


def test_large_flat_html_is_parsed():
    """Rows, items and paragraphs whose end tags are left out do not nest, nor do void and closed elements."""
    flat = b"<table><tr><td>1<td>2</table><ul><li>a<li>b</ul><p>x<br><img src=a><p>y<i>z</i><b/>\n"
    source = b"<html><body>" + flat * 1500 + b"</body></html>"
    assert source.count(b"<") ** 2 > 2 * nesting.MAX_DEPTHS
    assert structure(source, "html").errors != ((0, len(source)),)


def test_a_document_that_uses_up_its_budget_is_one_error():
    """It is judged as unparsable, not as clean; and the parser is fit for the next document."""
    source = HOSTILE["conditions"]
    found = structure(source, "shell")
    assert found.has_error
    assert found.errors == ((0, len(source)),)
    assert structure(b"echo hello\n", "shell").has_error is False


# Pieces of code in an order that no grammar expects.
PIECES = st.lists(
    st.sampled_from(
        b"def f(): |class A: |return |function f() {|} |{ |( |) |= |; |\n|    |x |1 |'s' |\"t\" |# c|// c\n|/* |*/ "
        b"|import a |pass |print( |struct S |int main() |<p> |</p> |<script> |=> |: |, |let |var |use "
        b"|<?php |module.exports.a = |Console.Write( |fmt.Print( |cout << |console.log( "
        b"|require |#include |private int |end ".split(b"|")
    ),
    max_size=40,
).map(b"".join)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300) | PIECES, st.sampled_from(sorted(GRAMMARS)))
def test_any_bytes_give_spans_within_the_source(source, language):
    """Not only text: the parser never raises, and spans are sorted, disjoint and inside."""
    found = structure(source, language)
    for spans in (found.imports, found.comments, found.strings, found.markup, found.errors):
        edges = [edge for span in spans for edge in span]
        assert edges == sorted(edges)
        assert all(0 <= edge <= len(source) for edge in edges)
