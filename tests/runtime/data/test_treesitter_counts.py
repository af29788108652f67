"""What is counted in each language, on texts with the counts worked out by hand.

The texts are tests/fixtures/treesitter/LANGUAGE.txt. A header `--- (NAME=COUNT, ...)` says what is
found in the text up to the next header; other counts are not looked at.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runtime.data.treesitter import GRAMMARS, parsing, structure
from runtime.data.treesitter.declarations import DECLARATIONS

FOLDER = Path(__file__).parents[2] / "fixtures" / "treesitter"
HEADER = re.compile(r"^--- \(([^)]*)\)\n", re.MULTILINE)


def read(path: Path):
    """Language, expected counts and text of every case of a file."""
    _, *parts = HEADER.split(path.read_text(encoding="utf-8"))
    for header, text in zip(parts[::2], parts[1::2], strict=True):
        yield path.stem, {name: int(n) for name, n in (pair.split("=") for pair in header.split(", "))}, text


CASES = [case for path in sorted(FOLDER.glob("*.txt")) for case in read(path)]


def test_every_grammar_has_texts():
    """A file for each language, and none for others."""
    assert {language for language, _, _ in CASES} == GRAMMARS.keys()
    assert {name for name, grammar in GRAMMARS.items() if grammar.declarations} == DECLARATIONS.keys()


@pytest.mark.parametrize(("language", "expected", "text"), CASES, ids=[case[0] for case in CASES])
def test_counts(language, expected, text):
    """Counts as written above the text; for spans, how many there are."""
    found = structure(text.encode(), language)
    values = {name: getattr(found, name) for name in expected}
    assert {name: len(v) if isinstance(v, tuple) else int(v) for name, v in values.items()} == expected


@pytest.mark.parametrize("language", GRAMMARS)
def test_the_table_names_node_types_of_the_grammar(language):
    """A misspelt type would make the query fail, a type of two groups would be counted in one of them only."""
    groups = (*parsing.GROUPS, "class", "return", "declaration", "pass", "aside", "markup", "call")
    grammar = GRAMMARS[language]
    named = (grammar.functions, grammar.classes, grammar.imports, grammar.comments, grammar.strings, grammar.returns)
    more = (grammar.declarations, grammar.passes, grammar.asides, grammar.markup, grammar.calls, ("ERROR",))
    assert len(parsing.kinds(language, groups)) == sum(map(len, (*named, *more)))
    assert structure(b"", language).errors == ()
    assert structure(b"print(echo) printf Console.Write System fmt require", language) is not None
