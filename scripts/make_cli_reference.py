"""Write docs/reference/cli.md from the parser of the command line. It describes nothing by itself.

python scripts/make_cli_reference.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ocspec.cli.parser import EPILOG, build_parser, leaves

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"

HEAD = """\
# Command line

Written by `scripts/make_cli_reference.py`; change the help texts in `ocspec/cli/`, not this page.

Data goes to stdout, everything else to stderr. JSON objects have a `format_version` and a `kind`. `NO_COLOR`,
`FORCE_COLOR`, `COLUMNS` and `TERM=dumb` are followed. `OCSPEC_STORE` names the store where `--store` does
not; `--traceback` or `OCSPEC_TRACEBACK=1` shows the traceback of a bug.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The whole page as Markdown."""
    sections = [HEAD, f"```text\n{EPILOG}```\n", *map(section, leaves(build_parser()))]
    return "\n".join(sections)


def section(parser: argparse.ArgumentParser) -> str:
    """One verb: what it does, and a table of what it takes."""
    verb = parser.prog.partition(" ")[2]
    rows = [
        f"| `{_names(action)}` | {_cell(action.help or '')} |"
        for action in parser._actions
        if action.dest != "help" and action.help != argparse.SUPPRESS
    ]
    text = " ".join((parser.description or "").split())
    table = ["", "| argument | meaning |", "|---|---|", *rows] if rows else []
    return "\n".join([f"## {verb}", "", text, *table, ""])


def _names(action: argparse.Action) -> str:
    """`-o, --output FILE`, or the name of a positional argument."""
    metavar = str(action.metavar or action.dest)
    if not action.option_strings:
        return _cell(f"[{metavar}]" if action.nargs == "?" else metavar)
    names = ", ".join(action.option_strings)
    return names if action.nargs == 0 else f"{names} {metavar}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
