"""How results and errors look: tables, numbers, JSON. Data goes to stdout, talk to stderr. Not what is said.

Colours and widths are rich's business: it follows NO_COLOR, FORCE_COLOR, COLUMNS and TERM, and prints plain
text into pipes and files.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from compiler.errors import UserErrors

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

FORMAT_VERSION = 1
PIPE_WIDTH = 160  # no terminal asks for 80 columns there, and cut cells are worse than long lines
PREFIXES = (("T", 10**12), ("B", 10**9), ("M", 10**6), ("k", 10**3))
STYLES = {
    "finished": "green",
    "reused": "green",
    "reuse": "green",
    "done": "green",
    "ok": "green",
    "running": "cyan",
    "to run": "yellow",
    "rebuild": "yellow",
    "new": "yellow",
    "may cut off": "yellow",
    "completing": "cyan",
    "queued": "blue",
    "requeued": "yellow",
    "preempted": "yellow",
    "cancelled": "red",
    "failed": "bold red",
    "missing": "yellow",
    "removed": "red",
    "kept": "green",
    "shortened": "yellow",
    "dropped": "red",
    "dropped it": "bold red",
    "would drop it": "red",
}


def console(*, stderr: bool = False) -> Console:
    """A console on stdout or stderr that neither highlights nor reads markup: what it prints is data."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def say(text: str) -> None:
    """Talk: a line for people, on stderr."""
    sys.stderr.write(f"{text}\n")


def say_errors(*errors: object) -> None:
    """Every problem as `error: message` on stderr."""
    from rich.text import Text

    out = console(stderr=True)
    for error in errors:
        if isinstance(error, UserErrors):
            say_errors(*error.problems)
        else:
            out.print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)


def say_warnings(*findings: object) -> None:
    """Every finding as `warning: message` on stderr."""
    from rich.text import Text

    out = console(stderr=True)
    for finding in findings:
        out.print(Text.assemble(("warning: ", "bold yellow"), str(finding)), soft_wrap=True)


def print_json(kind: str, **fields: Any) -> None:
    """One JSON object on stdout."""
    print(json.dumps({"format_version": FORMAT_VERSION, "kind": kind, **fields}, indent=1))


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, indent: int = 0) -> None:
    """A table without lines. A header with a leading `>` is right-aligned; `STYLES` colours known words.

    Only the last column wraps, so that names can be copied whole. Empty headers are not shown.
    """
    from rich.padding import Padding
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=any(headers))
    for number, header in enumerate(headers, start=1):
        last = number == len(headers)
        right = header.startswith(">")
        table.add_column(
            header.removeprefix(">"),
            justify="right" if right else "left",
            no_wrap=not last or right,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*map(_cell, row))
    out = console()
    if out.is_terminal:
        out.print(Padding(table, (0, 0, 0, indent)))
        return
    with out.capture() as captured:
        out.print(Padding(table, (0, 0, 0, indent)))
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _cell(text: str) -> Text:
    from rich.text import Text

    return Text(text, style=STYLES.get(text, ""))


def quantity(number: float) -> str:
    """A count in three digits.

    >>> quantity(160), quantity(1_310_720), quantity(2_516_582_400_000)
    ('160', '1.31 M', '2.52 T')
    """
    for prefix, size in PREFIXES:
        if number >= 0.9995 * size:
            return f"{number / size:.3g} {prefix}" if number < 999.5 * size else f"{number / size:,.0f} {prefix}"
    return f"{number:g}"


def scientific(number: float) -> str:
    """Three digits and an exponent, as the field writes FLOPs.

    >>> scientific(8_899_641_999_360)
    '8.90e12'
    """
    mantissa, _, exponent = f"{number:.2e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(3.21), duration(192), duration(7265)
    ('3.2 s', '3 min 12 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def one_line(text: str) -> str:
    r"""A text that cannot break a table or a terminal: what is not printable is shown as in Python's source.

    >>> one_line("two\nlines"), one_line("\x1b[2J"), one_line("größer")
    ('two\\nlines', '\\x1b[2J', 'größer')
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def short_path(path: str) -> str:
    """A path relative to the working directory where that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(path) else path


def plural(count: int, noun: str) -> str:
    """A count with its noun.

    >>> plural(1, "task"), plural(3, "task")
    ('1 task', '3 tasks')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"
