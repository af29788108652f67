r"""What the first bytes of a file say about its language: the interpreter it names, and Linguist's patterns.

It knows no file names but for extensions as keys: `runtime.data.languages` says when to ask. The patterns
(heuristics.json) come from GitHub Linguist's heuristics.yml by way of scripts/make_languages.py. They run in RE2,
whose time is linear in the text whatever the text is: with a backtracking engine a few kilobytes of blank lines
hold up a pattern like `^\s*import` for seconds.
"""

from __future__ import annotations

import codecs
import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

import attrs
import re2

HEAD_BYTES = 50 * 1024
"""How much of a file is looked at, as in Linguist (HEURISTICS_CONSIDER_BYTES)."""

_ENV_ARGUMENT = re.compile(rb"-|[^=]+=")
_VERSION = re.compile(rb"\.\d+$")
_EXEC = re.compile(rb"""exec (\w+)[\s"']+\$0[\s"']+\$@""")
_XML = b"<?xml version="


def beginning(head: bytes | memoryview) -> bytes:
    """The part of a text that is looked at, without a byte-order mark."""
    return bytes(head[:HEAD_BYTES]).removeprefix(codecs.BOM_UTF8)


# ---------------------------------------------------------------- interpreters


def interpreter(text: bytes) -> str | None:
    r"""The program that a text names in its first line, without folder and minor version, or None.

    >>> interpreter(b"#!/usr/bin/env -S FOO=1 python3.11 -u\n"), interpreter(b"#! perl -w"), interpreter(b"# !sh")
    ('python3', 'perl', None)
    >>> interpreter(b'#!/bin/sh\nexec wish "$0" "$@"\n')
    'wish'
    """
    if not text.startswith(b"#!"):
        return None
    words = text[2:].split(b"\n", 1)[0].split()
    program = words[0].rpartition(b"/")[2] if words else b""
    if program == b"env":
        program = next((word for word in words[1:] if not _ENV_ARGUMENT.match(word)), b"").rpartition(b"/")[2]
    if program == b"osascript" and b"-l" in b" ".join(words[1:]):
        return None  # the language is an argument
    if program == b"sh":
        program = _handed_to(text) or program
    return _VERSION.sub(b"", program).decode("utf-8", "replace") or None


def _handed_to(text: bytes) -> bytes | None:
    """The program that a shell script makes itself into within its first five lines."""
    lines = text.split(b"\n", 5)[:5]
    return next((found[1] for line in lines if (found := _EXEC.search(line))), None)


def declares_xml(text: bytes) -> bool:
    r"""Whether an XML declaration stands in the first two lines.

    >>> declares_xml(b'\n<?xml version="1.0"?>'), declares_xml(b"a\nb\n<?xml version=")
    (True, False)
    """
    return any(_XML in line for line in text.split(b"\n", 2)[:2])


# ---------------------------------------------------------------- patterns


@attrs.frozen
class Rule:
    """A language, and what must be found and must not be found in a text that is in it."""

    language: str
    present: tuple[Any, ...]
    absent: tuple[Any, ...]

    def holds(self, text: bytes) -> bool:
        """Whether the text is as the rule says."""
        return all(pattern.search(text) for pattern in self.present) and not any(
            pattern.search(text) for pattern in self.absent
        )


@cache
def _patterns() -> dict[str, list[dict[str, Any]]]:
    table = json.loads(files(__package__).joinpath("heuristics.json").read_text(encoding="utf-8"))
    found: dict[str, list[dict[str, Any]]] = table["rules"]
    return found


def extensions() -> list[str]:
    """The extensions that have rules, sorted."""
    return list(_patterns())


@cache
def rules(extension: str) -> tuple[Rule, ...]:
    """The rules of an extension in their order; none where it has none."""
    return tuple(
        Rule(rule["language"], tuple(map(compiled, rule["all"])), tuple(map(compiled, rule["none"])))
        for rule in _patterns().get(extension, ())
    )


def compiled(pattern: str) -> Any:
    """A pattern of RE2 for bytes; `search` says whether it is found, and not where groups are."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes: a head may end within a character
    options.never_capture = True
    options.log_errors = False
    return re2.compile(pattern.encode(), options)


def decide(extension: str, text: bytes) -> str | None:
    r"""The language of the first rule of `extension` that holds for `text`, or None.

    >>> decide(".v", b"Require Import Arith.\n"), decide(".v", b"initial begin\n"), decide(".v", b"?")
    ('rocq prover', 'verilog', None)
    """
    return next((rule.language for rule in rules(extension) if rule.holds(text)), None)
