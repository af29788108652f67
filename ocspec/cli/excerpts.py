"""The first lines of documents on a terminal, harmless whatever they hold, one above the other or side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from ocspec.cli.output import console

if TYPE_CHECKING:
    from runtime.lineage.removed import Example

LINES = 5
MOST_CHARACTERS = 400
SIDE_BY_SIDE = 100
"""Columns from which on two documents stand side by side."""
GAP = " " * 3


def head(text: str, lines: int = LINES) -> list[str]:
    r"""The first lines that are not blank, without control characters, which could steer a terminal.

    >>> head("a\n\n\tb\x1b[31m\nc", 2)
    ['a', '    b\\x1b[31m']
    """
    found: list[str] = []
    for line in text[: MOST_CHARACTERS * lines].splitlines():
        if line.strip():
            found.append(printable(line.expandtabs(4))[:MOST_CHARACTERS].rstrip())
        if len(found) == lines:
            break
    return found


def printable(text: str) -> str:
    r"""The text with what is not printable as escapes.

    >>> printable("é\x07")
    'é\\x07'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def numbers(value: float | None, threshold: float | None) -> str:
    """Value and threshold in a few words; "" where there is none.

    >>> numbers(0.8123456, 0.8), numbers(None, 0.7), numbers(None, None)
    ('value 0.812346, threshold 0.8', 'threshold 0.7', '')
    """
    from runtime.lineage.facts import plain

    named = (("value", value), ("threshold", threshold))
    return ", ".join(f"{name} {plain(number)}" for name, number in named if number is not None)


def facts(example: Example) -> dict[str, Any]:
    """An example as plain data, with the head of its text."""
    import attrs

    plain = attrs.asdict(example)
    text = plain.pop("text")
    return {**plain, "head": None if text is None else head(text)}


def lines(example: Example) -> list[str]:
    """An example as lines: id, numbers, representative, and the head of its text behind bars."""
    about = [numbers(example.value, example.threshold)]
    about += [f"kept instead: {printable(example.kept)}"] if example.kept else []
    shown = ["(gone from the source, or not text)"] if example.text is None else head(example.text) or ["(blank)"]
    return [printable(example.doc_id), *(f"  {line}" for line in about if line), *(f"  | {line}" for line in shown)]


def print_examples(examples: Sequence[Example]) -> None:
    """Examples one above the other, lines cut at the width of the terminal."""
    width = console().width
    for example in examples:
        for line in lines(example):
            print(cut(line, width))
        print()


def print_pairs(names: tuple[str, str], left: Sequence[Example], right: Sequence[Example]) -> None:
    """Two lists of examples under their names: side by side where there is room, else one above the other."""
    width = console().width
    if width < SIDE_BY_SIDE:
        for name, examples in zip(names, (left, right), strict=True):
            print(f"{name}:\n")
            print_examples(examples)
        return
    column = (width - len(GAP)) // 2
    rows = [names]
    for one, other in zip_longest(left, right):
        rows += [("", ""), *zip_longest(lines(one) if one else [], lines(other) if other else [], fillvalue="")]
    for first, second in rows:
        print(f"{cut(first, column, pad=True)}{GAP}{cut(second, column)}".rstrip())
    print()


def cut(line: str, width: int, *, pad: bool = False) -> str:
    """A line of at most (with `pad`, exactly) so many columns of a terminal, where some characters take two."""
    from rich.cells import cell_len, set_cell_size

    return set_cell_size(line, width) if pad or cell_len(line) > width else line
