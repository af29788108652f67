"""Reading the command line: the verbs, their options, and hints for what is mistyped. Runs nothing."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import NoReturn

import ocspec
from ocspec.cli import exits

VERBS = (
    "check",
    "compile",
    "submit",
    "run",
    "plan",
    "diff",
    "lock",
    "status",
    "usage",
    "logs",
    "cancel",
    "adopt",
    "explain",
    "why",
    "data",
    "report",
    "schema",
    "doctor",
)

EPILOG = """\
exit codes:
  0 done, or no difference   1 error   2 differs (why; diff, plan --exit-code)
  3 check failed (check, lock --check)   4 over budget (plan)   5 locked
  64 usage   70 a bug in ocspec   130 interrupted   141 the output was cut off
"""
SWEEPS = "`ocspec compile SPEC --sweep ...` writes these plans, `ocspec diff SPEC --sweep ...` compares them"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that reports like the rest of ocspec; 2 means "differs", so usage errors exit 64."""

    def error(self, message: str) -> NoReturn:
        """Print the error and how to get help, and exit."""
        fix = "" if "\n  fix: " in message else f"\n  fix: see `{self.prog} --help`"
        self.exit(exits.USAGE, f"error: {message}{fix}\n")


def build_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(
        prog="ocspec",
        description="Compile, run and compare code-LLM experiments.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"ocspec {ocspec.__version__}")
    parser.add_argument("--traceback", action="store_true", help="show where in ocspec a bug happened")
    subparsers = parser.add_subparsers(title="verbs", metavar="VERB", parser_class=Parser)
    for verb in VERBS:
        import_module(f"ocspec.cli.{verb}").add_parser(subparsers)
    for subparser in leaves(parser):
        subparser.add_argument("--traceback", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def leaves(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The parsers of verbs, in their order: those below `data` in place of `data`."""
    # argparse has no public way to list actions; these attributes are as old as it is.
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return [leaf for below in action.choices.values() for leaf in leaves(below)]
    return [parser]


def parse(argv: list[str]) -> argparse.Namespace:
    """Read a command line; exits with 64 and a hint where it cannot be understood."""
    parser = build_parser()
    verb = next((word for word in argv if not word.startswith("-")), "")
    if verb and verb not in VERBS:
        parser.error(f"no verb is called {verb!r}{_hint(verb, VERBS)}")
    args, unknown = parser.parse_known_args(argv)
    if unknown and not verb:
        parser.error(f"there is no {unknown[0]} without a verb")
    if any(word.partition("=")[0] == "--sweep" for word in unknown):
        args.parser.error(f"{verb} does not take --sweep, which makes one plan for each arm\n  fix: {SWEEPS}")
    if unknown:
        options = re.findall(r"--[a-z-]+", args.parser.format_help())
        args.parser.error(f"{verb} does not take {' '.join(unknown)}{_hint(unknown[0], options)}")
    if not verb:
        parser.print_help(sys.stderr)
        parser.exit(exits.USAGE)
    return args


def _hint(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"\n  fix: did you mean {close[0]}?" if close else ""
