"""Which language a file is in, by its name, what kind of document that makes it, and how its comments look.

Not a classifier: it never looks at the content. The table is GitHub Linguist's (languages.json, built by
scripts/make_languages.py, which states how an extension claimed by several languages is given to one). Names
are Linguist's in lower case, with `cpp` for C++ and `csharp` for C#.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Literal

import attrs

DocType = Literal["code", "data", "text"]


@attrs.frozen
class _Table:
    """languages.json."""

    source: str
    types: dict[str, DocType]
    extensions: dict[str, str]
    filenames: dict[str, str]


@cache
def _table() -> _Table:
    return _Table(**json.loads(files(__package__).joinpath("languages.json").read_text(encoding="utf-8")))


def language_of(path: str) -> str | None:
    """The language of the file called `path`, or None where the table does not know it.

    An exact file name counts first, then the longest known extension, in any case.

    >>> language_of("src/Main.CPP"), language_of("a/Makefile"), language_of("page.html.erb")
    ('cpp', 'makefile', 'html+erb')
    >>> language_of("README") is None, language_of("a.b/c") is None
    (True, True)
    """
    table = _table()
    name = PurePosixPath(path).name
    if name in table.filenames:
        return table.filenames[name]
    dot = name.find(".")
    while dot != -1:
        language = table.extensions.get(name[dot:].lower())
        if language is not None:
            return language
        dot = name.find(".", dot + 1)
    return None


def doc_type(language: str) -> DocType:
    """`code`, `data` or `text`; a language that the table does not know counts as data.

    >>> doc_type("python"), doc_type("json"), doc_type("markdown"), doc_type("no such language")
    ('code', 'data', 'text', 'data')
    """
    return _table().types.get(language, "data")


def known_languages() -> list[str]:
    """All canonical names, sorted."""
    return sorted(_table().types)


# ---------------------------------------------------------------- comments


@attrs.frozen
class CommentSyntax:
    """Markers of line comments, and opening and closing markers of block comments."""

    line: tuple[str, ...] = ()
    block: tuple[tuple[str, str], ...] = ()


_C_BLOCK = ("/*", "*/")
_XML_BLOCK = ("<!--", "-->")

_STYLES: tuple[tuple[CommentSyntax, str], ...] = (
    (
        CommentSyntax(("//",), (_C_BLOCK,)),
        "c cpp csharp java javascript typescript tsx go rust swift kotlin scala dart groovy objective-c "
        "objective-c++ solidity cuda opencl glsl hlsl verilog systemverilog scss less zig d actionscript "
        "json5 protocol|buffer gradle haxe vala json|with|comments",
    ),
    (
        CommentSyntax(("#",)),
        "python ruby shell perl r yaml toml makefile cmake dockerfile elixir julia nix tcl awk starlark "
        "crystal graphql fish gnuplot meson ninja bitbake rpm|spec",
    ),
    (CommentSyntax(("//", "#"), (_C_BLOCK,)), "php hcl thrift"),
    (CommentSyntax((), (_C_BLOCK,)), "css"),
    (CommentSyntax((), (_XML_BLOCK,)), "html xml svg vue svelte markdown html+erb"),
    (CommentSyntax(("--",), (_C_BLOCK,)), "sql plsql plpgsql tsql"),
    (CommentSyntax(("--",), (("--[[", "]]"),)), "lua"),
    (CommentSyntax(("--",), (("{-", "-}"),)), "haskell elm purescript agda"),
    (CommentSyntax(("--",)), "ada vhdl"),
    (CommentSyntax(("#",), (("<#", "#>"),)), "powershell"),
    (CommentSyntax((), (("(*", "*)"),)), "ocaml standard|ml"),
    (CommentSyntax(("//",), (("(*", "*)"),)), "f#"),
    (CommentSyntax(("//",), (("{", "}"), ("(*", "*)"))), "pascal"),
    (CommentSyntax(("%",)), "tex erlang matlab prolog bibtex"),
    (CommentSyntax((";",)), "assembly unix|assembly clojure common|lisp scheme emacs|lisp racket llvm"),
    (CommentSyntax((";", "#")), "ini"),
    (CommentSyntax(("!",)), "fortran fortran|free|form"),
    (CommentSyntax(('"',)), "vim|script"),
    (CommentSyntax(("'",)), "visual|basic|.net vba"),
    (CommentSyntax(("#",), (("#[", "]#"),)), "nim"),
    (CommentSyntax(("rem ", "REM ", "::")), "batchfile"),
)

_SYNTAX = {language.replace("|", " "): syntax for syntax, languages in _STYLES for language in languages.split()}


def comment_syntax(language: str | None) -> CommentSyntax | None:
    """How `language` writes comments, or None where this table does not say.

    >>> comment_syntax("lua")
    CommentSyntax(line=('--',), block=(('--[[', ']]'),))
    """
    return _SYNTAX.get(language or "")


def commented_languages() -> list[str]:
    """The languages whose comment syntax is known, sorted."""
    return sorted(_SYNTAX)
