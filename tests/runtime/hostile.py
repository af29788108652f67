"""Files as they come from the wild: ten thousand of them, made by rule from a seed. It runs nothing."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator

Make = Callable[[random.Random], bytes]

EXTENSIONS = (
    *("py", "js", "ts", "tsx", "jsx", "html", "css", "scss", "c", "h", "cpp", "hpp", "cs", "java", "go", "rs", "php"),
    *("rb", "sh", "sql", "md", "json", "yaml", "xml", "txt", "rst", "tex", "ipynb", "kt", "swift", "scala", "pl", "m"),
    *("r", "lua", "hs", "v", "f90", "vue", "svg", "toml", "csv", "inc", "cls", "1", "unknown", "PY", ""),
)
SMALL = (
    b"def f(x):\n    return x + 1\n",
    b"function f(x) { return x + 1; }\n",
    b'#include <stdio.h>\nint main(void) { printf("x"); return 0; }\n',
    b"<html><body><p>some words</p></body></html>\n",
    b'{"a": [1, 2, {"b": null}]}\n',
    b"# Title\n\nSome words about nothing. And more of them!\n",
    b"/* Copyright (c) 2020 Some Body <some.body@mail.dev>. All rights reserved. */\nint x;\n",
    b"#!/usr/bin/env python3\npassword = 'hunter2hunter2'\nhost = '10.1.2.3'\n",
    "größe = '漢字 \N{PILE OF POO} e\u0301'\n".encode(),
)


def _words(numbers: random.Random) -> bytes:
    return b" ".join(b"w%d" % numbers.randrange(500) for _ in range(numbers.randrange(1, 60)))


def _code(numbers: random.Random) -> bytes:
    return b"".join(numbers.choice(SMALL) for _ in range(numbers.randrange(1, 8)))


def _noise(numbers: random.Random) -> bytes:
    return numbers.randbytes(numbers.randrange(1, 400))


def _ascii_noise(numbers: random.Random) -> bytes:
    return bytes(numbers.randrange(1, 128) for _ in range(numbers.randrange(1, 400)))


def _unicode_noise(numbers: random.Random) -> bytes:
    codes = (numbers.randrange(1, 0x10FFFF) for _ in range(numbers.randrange(1, 200)))
    return "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000).encode()


def _mutated(numbers: random.Random) -> bytes:
    """Code with bytes changed, cut out and doubled."""
    text = bytearray(_code(numbers))
    for _ in range(numbers.randrange(1, 6)):
        place = numbers.randrange(len(text) + 1)
        text[place : place + numbers.randrange(3)] = numbers.choice(
            (b"", b"\xff", b"\0", b"'", b'"', b"{", b"\\", b"((")
        )
    return bytes(text)


def _nested(numbers: random.Random, depth: int = 300) -> bytes:
    return (
        numbers.choice((b"[", b"(", b"{", b"<div>", b"/*", b"(*", b"{-", b'"', b"'''", b"- ", b"> ", b"if x:\n "))
        * depth
    )


def _cut_in_a_character(numbers: random.Random) -> bytes:
    return "größe".encode() * numbers.randrange(1, 40) + "ö".encode()[:1]


KINDS: tuple[Make, ...] = (
    *(_code, _code, _words, _noise, _ascii_noise, _unicode_noise, _mutated, _mutated, _nested, _cut_in_a_character),
    lambda _: b"",
    lambda numbers: b" \t\r\n\f\v"[: numbers.randrange(1, 7)] * numbers.randrange(1, 50),
    lambda numbers: _code(numbers).replace(b"\n", b"\r\n"),
    lambda numbers: _code(numbers).replace(b"\n", b"\r"),
    lambda numbers: b"\xef\xbb\xbf" + _code(numbers),
    lambda numbers: _code(numbers).decode().encode("utf-16"),
    lambda numbers: _code(numbers).decode().encode("utf-32-be"),
    lambda numbers: "größe".encode("latin-1") * numbers.randrange(1, 9),
    lambda numbers: _code(numbers) + b"\0" * numbers.randrange(1, 9),
    lambda numbers: b"\xed\xa0\x80" + _code(numbers),  # a surrogate, which UTF-8 has not
    lambda numbers: b"\xc0\xaf" + _code(numbers),  # an overlong slash
    lambda numbers: gzip.compress(_code(numbers), mtime=0),
    lambda numbers: b"\x7fELF" + _noise(numbers),
    lambda numbers: b"a" * numbers.randrange(1, 5000),
    lambda numbers: b"x = '" + b"\\x41" * numbers.randrange(1, 900) + b"'\n",
    lambda numbers: b"\n" * numbers.randrange(1, 3000),
    lambda numbers: b"1" * numbers.randrange(1, 6000),  # longer than an int may be
    lambda numbers: b"@" * numbers.randrange(1, 99) + b"a.b" * numbers.randrange(1, 99),
    lambda numbers: b"\xe2\x80\xae" * numbers.randrange(1, 99) + _code(numbers),  # right to left from here
    lambda numbers: "e\u0301\u0302".encode() * numbers.randrange(1, 300),
    lambda numbers: "\u2028\u0085\x1c".encode() * numbers.randrange(1, 99),  # lines end here, says str.splitlines
)
"""Kinds of content; each is drawn as often."""

DEPTH = 100_000
LARGE: dict[str, bytes] = {
    "line.js": b"var x=1;" * (7_000_000 // 8),
    "word.txt": b"a" * 7_000_000,
    "string.py": b"x = '" + b"ab " * 300_000 + b"'\n",
    "brackets.py": b"[" * DEPTH,
    "brackets.json": b"[" * DEPTH + b"]" * DEPTH,
    "calls.js": b"f(" * DEPTH,
    "braces.c": b"{" * DEPTH,
    "divisions.html": b"<div>" * 5000,  # tree-sitter's HTML takes time by the square of the depth
    "open.html": b"<" * DEPTH,
    "quotes.md": b"> " * DEPTH,
    "bullets.md": b"".join(b" " * n + b"- x\n" for n in range(1000)),
    "minus.py": b"-" * DEPTH + b"1",
    "lambdas.py": b"lambda:" * DEPTH,
    "indented.py": b"".join(b" " * n + b"if x:\n" for n in range(300)),
    "ternary.js": b"a?b:" * DEPTH,
    "pointers.c": b"*" * DEPTH,
    "pluses.java": b"a+" * DEPTH + b"a",
    "comments.c": b"/*" * DEPTH,
    "slashes.go": b"//\n" * DEPTH,
    "escapes.cs": b"\\" * DEPTH,
    "templates.cpp": b"A<" * DEPTH,
    "blank.h": b"\n" * 1_000_000,
    "spaces.py": b" " * 1_000_000,
    "copyright.c": b"/* Copyright\n" + b" * a\n" * 200_000,
    "mails.txt": b"a@" * 300_000,
    "dots.py": b"a." * 300_000,
    "digits.sql": b"1." * 300_000,
    "hex.py": b"\\x00" * 200_000,
    "base64.js": b"QUJD" * 200_000,
    "entities.xml": b"<!DOCTYPE a [" + b'<!ENTITY b "&b;&b;">' * 1000 + b"]><a>&b;</a>",
}
"""Files of which one is enough: each is a worst case of some parser, pattern or loop."""

PATHS = (
    "../../../etc/passwd",
    "/etc/passwd",
    "..\\..\\x.py",
    "a\nb.py",
    "a\tb.py",
    "x" * 5000 + ".py",
    "a/" * 400 + "b.py",
    "a.py/",
    "",
    ".",
    "..",
    "-rf.py",
    "$(reboot).py",
    "'; DROP TABLE keys; --.sql",
    "\u202egpj.py",
    "con.py",
    "a\x00b.py",
    "." * 300 + "py",
    "%00.py",
    "*?[a].py",
)


def documents(count: int = 10_000, seed: int = 1, limit: int | None = None) -> Iterator[tuple[str, str, bytes]]:
    """(repo, path, content) of each and of the LARGE ones, cut to `limit` bytes; (repo, path) is unique."""
    numbers = random.Random(seed)
    for number in range(count):
        content = KINDS[number % len(KINDS)](numbers)
        name = numbers.choice(PATHS) if number % 50 == 0 else f"f.{numbers.choice(EXTENSIONS)}"
        yield f"repo{number % 97}", f"{number}/{name}", content
    for name, content in LARGE.items():
        yield "large", name, content[:limit]


def json_line(repo: str, path: str, content: bytes) -> bytes:
    """A line of JSON with what is not UTF-8 as lone surrogates."""
    text = content.decode("utf-8", "surrogateescape")
    return json.dumps({"repo": repo, "path": path, "content": text}).encode() + b"\n"
