"""Which language a file is in, and what kind of document that makes it.

Not a classifier: it knows names, interpreters and Linguist's patterns, and learns nothing. The tables are GitHub
Linguist's (languages.json and heuristics.json, built by scripts/make_languages.py, which states how an extension
claimed by several languages is given to one where nothing else decides). Names are Linguist's in lower case, with
`cpp` for C++ and `csharp` for C#.

Other than Linguist, a name that only one language claims decides whatever the text says, modelines are not read,
and where the patterns decide nothing a fixed preference does, not a Bayesian classifier.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Literal

import attrs

from runtime.data import heuristics

DocType = Literal["code", "data", "text"]


@attrs.frozen
class _Table:
    """languages.json: `extensions` and `interpreters` lead to all that claim them, the best first."""

    source: str
    types: dict[str, DocType]
    extensions: dict[str, list[str]]
    generic: list[str]
    filenames: dict[str, str]
    interpreters: dict[str, list[str]]
    aliases: dict[str, str]
    undecided: frozenset[str]
    """Extensions that leave it to the content."""


@cache
def _table() -> _Table:
    table = json.loads(files(__package__).joinpath("languages.json").read_text(encoding="utf-8"))
    claimed_twice = {extension for extension, names in table["extensions"].items() if len(names) != 1}
    return _Table(**table, undecided=frozenset({*claimed_twice, *heuristics.extensions(), *table["generic"]}))


def _extension(name: str) -> str | None:
    """The longest known extension of a file name, in lower case."""
    known = _table().extensions
    dot = name.find(".")
    while dot != -1:
        extension = name[dot:].lower()
        if extension in known:
            return extension
        dot = name.find(".", dot + 1)
    return None


def language_of(path: str) -> str | None:
    """The language of the file called `path` by its name alone, or None where the table does not know it.

    An exact file name counts first, then the longest known extension, in any case. Of several languages that
    claim the extension it is the one that most such files are in.

    >>> language_of("src/Main.CPP"), language_of("a/Makefile"), language_of("page.html.erb"), language_of("a.h")
    ('cpp', 'makefile', 'html+erb', 'c')
    >>> language_of("README") is None, language_of("a.b/c") is None
    (True, True)
    """
    table = _table()
    name = path.rpartition("/")[2]
    language = table.filenames.get(name)
    if language is not None:
        return language
    return next(iter(table.extensions.get(_extension(name) or "", ())), None)


def language_of_content(path: str, head: bytes | memoryview) -> str | None:
    r"""The language of the file called `path` that begins with `head` (UTF-8), or None.

    As `language_of`, but where several languages claim the extension, the interpreter in the first line decides,
    then Linguist's patterns, then `language_of`; an extension that Linguist calls generic (`.1`, `.sol`) is in no
    language unless a pattern says so. A file without a known extension is in the language of its interpreter,
    or XML where it begins with a declaration. At most `heuristics.HEAD_BYTES` of `head` are looked at, and none
    where the name is enough; the time is linear in them.

    >>> language_of_content("a.h", b"@interface A\n"), language_of_content("a.h", b"int x;\n")
    ('objective-c', 'c')
    >>> language_of_content("bin/run", b"#!/usr/bin/env python3\n"), language_of_content("bin/run", b"run")
    ('python', None)
    """
    table = _table()
    name = path.rpartition("/")[2]
    language = table.filenames.get(name)
    if language is not None:
        return language
    extension = _extension(name)
    if extension is not None and extension not in table.undecided:
        return table.extensions[extension][0]
    return _by_content(extension, heuristics.beginning(head))


def _by_content(extension: str | None, text: bytes) -> str | None:
    table = _table()
    claimants = table.extensions.get(extension or "", [])
    for language in table.interpreters.get(heuristics.interpreter(text) or "", ()):
        if not claimants or language in claimants:
            return language
    if extension is None:
        return "xml" if heuristics.declares_xml(text) else None
    return heuristics.decide(extension, text) or (
        claimants[0] if claimants and extension not in table.generic else None
    )


def canonical_language(name: str) -> str:
    """A language as a source may call it, under the name used here; a name nobody knows in lower case.

    >>> canonical_language("C++"), canonical_language("Golang"), canonical_language("R"), canonical_language("?!")
    ('cpp', 'go', 'r', '?!')
    """
    lower = name.lower()
    return _table().aliases.get(lower, lower)


def doc_type(language: str) -> DocType:
    """`code`, `data` or `text`; a language that the table does not know counts as data.

    >>> doc_type("python"), doc_type("json"), doc_type("markdown"), doc_type("no such language")
    ('code', 'data', 'text', 'data')
    """
    return _table().types.get(language, "data")


def known_languages() -> list[str]:
    """All canonical names, sorted."""
    return sorted(_table().types)
