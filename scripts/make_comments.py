"""Build runtime/data/comments.json: which comment markers the lexers of Pygments know, by language.

Not needed to run anything: the table is checked in. Run it to move to a newer Pygments:

    python scripts/make_comments.py

Every candidate marker is put before words and given to the lexer of each of Linguist's languages for which
Pygments (BSD-2-Clause) has a lexer of that name; a marker counts where the lexer calls all of the words, and
nothing behind them, a comment. Only that answer is kept, no code. runtime/data/comments.py corrects and
completes the table by hand.
"""

from __future__ import annotations

import json
from pathlib import Path

import pygments
from pygments.lexer import Lexer
from pygments.lexers import find_lexer_class, get_all_lexers
from pygments.token import Comment, _TokenType

from runtime.data.languages import known_languages

TARGET = Path(__file__).resolve().parent.parent / "runtime" / "data" / "comments.json"

ALIASES = {"cpp": "c++", "csharp": "c#"}
LINES = ("//", "#", "--", ";", "%", "!", "'", '"', "REM ", "rem ", "::", "\\ ", "dnl ", "NB.", "⍝", "@", "*", "|")
BLOCKS = (
    *(("/*", "*/"), ("(*", "*)"), ("{-", "-}"), ("<!--", "-->"), ("#|", "|#"), ("--[[", "]]"), ("#[", "]#")),
    *(("<#", "#>"), ("{", "}"), ("%{", "%}"), ("=begin\n", "\n=end"), ("{#", "#}"), ("<%--", "--%>")),
    *(("/+", "+/"), ("#=", "=#"), ("###", "###"), ("%(", "%)"), ("--[", "]--"), ("(;", ";)"), ("{*", "*}")),
    *((("<%#", "%>"), ("{{!--", "--}}"), ("{{--", "--}}"), ("@*", "*@"), ("##|", "|##"), ("/-", "-/"))),
)
NOT_COMMENTS = (Comment.Preproc, Comment.PreprocFile, Comment.Hashbang)


def main() -> None:
    """Write the table."""
    known = [(name, (name.lower(), *aliases)) for name, aliases, _, _ in get_all_lexers(plugins=False)]
    lexers = {alias: name for name, aliases in known for alias in aliases}
    table: dict[str, dict[str, list[object]]] = {}
    for language in known_languages():
        alias = ALIASES.get(language, language)
        name = next((lexers[a] for a in (alias, alias.replace(" ", "-"), alias.replace(" ", "")) if a in lexers), None)
        lexer_class = find_lexer_class(name) if name else None
        if lexer_class is not None:
            lines, blocks = markers(lexer_class(ensurenl=True, stripall=False))
            if lines or blocks:
                table[language] = {"line": lines, "block": blocks}
    content = {"source": f"PyPI Pygments {pygments.__version__} (BSD-2-Clause)", "languages": table}
    rows = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in table.items())
    TARGET.write_text(
        f'{{"source": {json.dumps(content["source"])},\n "languages": {{\n{rows}\n}}}}\n', encoding="utf-8"
    )


def markers(lexer: Lexer) -> tuple[list[object], list[object]]:
    """The line markers and block pairs that this lexer takes for comments."""
    prefix = "<?php\n" if "php" in lexer.aliases else ""
    if is_comment(lexer, prefix, "alpha beta", "\ngamma\n"):
        return [], []
    lines: list[object] = [
        m
        for m in LINES
        if is_comment(lexer, prefix + "delta\n", f"{m} alpha beta", "\ngamma\n")
        or is_comment(lexer, prefix, f"{m} alpha beta", "\ngamma\n")
    ]
    blocks: list[object] = [
        [o.strip(), c.strip()]
        for o, c in BLOCKS
        if not any(str(m) and o.startswith(str(m)) for m in lines if o[:1] != "-")
        and is_comment(lexer, prefix, f"{o} alpha\nbeta {c}", "\ngamma\n")
    ]
    return [str(m) for m in lines], blocks


def is_comment(lexer: Lexer, before: str, comment: str, after: str) -> bool:
    """Whether exactly `comment` is one, between the two."""
    position = 0
    start, end = len(before), len(before) + len(comment)
    for token, value in lexer.get_tokens(before + comment + after):
        first = position + len(value) - len(value.lstrip())
        last = position + len(value.rstrip())
        position += len(value)
        if first >= last:
            continue
        if _called_comment(token) != (start <= first < end) or first < start < last or first < end < last:
            return False
    return True


def _called_comment(token: _TokenType) -> bool:
    return token in Comment and not any(token in other for other in NOT_COMMENTS)


if __name__ == "__main__":
    main()
