"""Interpreters, Linguist's patterns on texts of every kind, and that no text makes them slow."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.data import heuristics
from runtime.data.heuristics import HEAD_BYTES, decide, extensions, interpreter, rules
from runtime.data.languages import known_languages, language_of, language_of_content
from tests.pace import cpu_seconds

SCRIPT = Path(__file__).parents[3] / "scripts" / "make_languages.py"
CONTENTS = Path(__file__).parents[2] / "fixtures" / "languages" / "contents.txt"
UNITS = (b"\n", b" ", b"\t", b" \t\n", b"(", b"{", b"a", b"a b ", b"begin\n", b"x = 1;\n", b"<a ", b"#", b"/*", b"\xff")


def cases() -> list[tuple[str, str | None, str]]:
    """(path, language or None, text) of the fixture: `#### PATH -> LANGUAGE`, and the text below it."""
    found = []
    for part in re.split(r"^#### ", CONTENTS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, _, text = part.partition("\n")
        path, _, language = head.partition(" -> ")
        found.append((path, None if language == "none" else language, text))
    return found


@pytest.mark.parametrize(("path", "language", "text"), cases())
def test_language_of_content(path, language, text):
    """What the content decides, and what it leaves to the name."""
    assert language_of_content(path, text.encode()) == language


def test_a_byte_order_mark_changes_nothing():
    """Also where a pattern or an interpreter must stand at the very beginning."""
    for path, language, text in cases():
        assert language_of_content(path, b"\xef\xbb\xbf" + text.encode()) == language, path


def test_only_the_beginning_is_looked_at():
    """As Linguist: 50 KiB."""
    late = b"\n" * HEAD_BYTES + b"@interface A\n"
    assert language_of_content("a.h", late) == "c"
    assert language_of_content("a.h", late[20:]) == "objective-c"
    assert language_of_content("a.h", memoryview(late)[20:]) == "objective-c"


def test_a_name_that_one_language_claims_needs_no_content():
    """Nothing is copied or searched."""

    class Untouchable:
        def __getitem__(self, key):
            raise AssertionError

    for path in ("a.py", "b/Makefile", "c.min.js", "CMakeLists.txt"):
        assert language_of_content(path, Untouchable()) == language_of(path)


@pytest.mark.parametrize(
    ("line", "program"),
    [
        (b"#!/bin/sh", "sh"),
        (b"#!/bin/sh\r\n", "sh"),
        (b"#! /usr/local/bin/python2.7 -E\n", "python2"),
        (b"#!/usr/bin/env ruby\n", "ruby"),
        (b"#!/usr/bin/env -i A=b --split-string /opt/x/perl5.30 -w\n", "perl5"),
        (b"#!/usr/bin/env -S\n", None),
        (b"#!\n/bin/sh", None),
        (b"# !/bin/sh", None),
        (b'#!/bin/sh\n# a\n# b\nexec \'wish\' "$0" "$@"', "sh"),
        (b'#!/bin/sh\nexec wish "$0" "$@"', "wish"),
        (b'#!/bin/sh\n\n\n\n\nexec wish "$0" "$@"', "sh"),
        (b"#!/bin/\xff\xfe\n", "\N{REPLACEMENT CHARACTER}" * 2),
        (b"#!/" + b"x" * 100_000, "x" * 100_000),
    ],
)
def test_interpreter(line, program):
    """Of env, its arguments and variables, versions, and scripts that hand themselves to another program."""
    assert interpreter(line) == program


def test_every_rule_names_a_language_and_compiles():
    """Patterns are compiled here, all of them; the script that made them has done so once."""
    assert len(extensions()) > 150
    found = [rule for extension in extensions() for rule in rules(extension)]
    assert {rule.language for rule in found} <= set(known_languages())
    assert sum(len(rule.present) + len(rule.absent) for rule in found) > 300


@pytest.mark.parametrize("unit", UNITS)
def test_no_text_is_slow(unit):
    """Four times the text takes four times the time over all patterns; a backtracking engine takes sixteen."""
    text = (unit * HEAD_BYTES)[:HEAD_BYTES]
    every = [rule for extension in extensions() for rule in rules(extension)]

    def seconds(size: int) -> float:
        """The least of some, for what disturbs a measurement adds to it."""
        return min(cpu_seconds(lambda: search(text[:size])) for _ in range(4))

    def search(part: bytes) -> None:
        for rule in every:
            for pattern in (*rule.present, *rule.absent):
                pattern.search(part)

    search(text[:9])  # compiles
    whole, quarter = seconds(HEAD_BYTES), seconds(HEAD_BYTES // 4)
    assert whole < 8 * quarter, (whole, quarter)


@pytest.fixture(scope="module")
def script():
    """scripts/make_languages.py as a module."""
    spec = importlib.util.spec_from_file_location("make_languages", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("ruby", "found", "not_found"),
    [
        (r"^a\sb$", [b"x\na\x0bb\ny"], [b"xa b", b"a\nbc"]),
        (r"a[^\s,]b", [b"a.b"], [b"a\x0bb", b"a,b"]),
        (r"[^\S\n]x", [b" x", b"\x0bx"], [b"\nx", b"ax"]),
        (r"(?m:a.b)", [b"a\nb"], []),
        (r"(?i)A(?-m:.)b", [b"a.B"], [b"a\nb"]),
        (r"a\Rb", [b"a\r\nb", b"a\nb"], [b"ab"]),
        (r"\Aab\z", [b"ab"], [b"ab\n", b"\nab"]),
    ],
)
def test_ruby_patterns_are_translated(script, ruby, found, not_found):
    """To ones that find the same."""
    pattern = heuristics.compiled(script.translated(ruby))
    assert [text for text in found if not pattern.search(text)] == []
    assert [text for text in not_found if pattern.search(text)] == []


@pytest.mark.parametrize(
    "ruby",
    [
        r"a(?=b)",
        r"(?<!a)b",
        r"(?>a)",
        r"a*+b",
        r"(a)\1",
        r"\h",
        r"[a&&b]",
        r"[a[b]]",
        r"(?x)a",
        r"(?<n>a)\g<n>",
        r"a\Z",
    ],
)
def test_what_cannot_be_translated_is_an_error_of_the_script(script, ruby):
    """Nothing is dropped in silence."""
    with pytest.raises(script.Untranslatable):
        script.translated(ruby)


@given(st.sampled_from(heuristics.extensions()), st.binary(max_size=300))
def test_decide_takes_any_bytes(extension, text):
    """UTF-8 or not."""
    assert decide(extension, text) in {None, *known_languages()}
    assert language_of_content(f"a{extension}", text) in {None, *known_languages()}
    assert language_of_content("a", b"#!" + text) in {None, *known_languages()}
