"""ocspec schema: the JSON Schema of the language, for editors and other tools. Reads no spec."""

from __future__ import annotations

import json
from argparse import Namespace

from ocspec.cli import arguments, exits


def add_parser(subparsers: arguments.Subparsers) -> None:
    """`schema` takes no options."""
    arguments.add_verb(subparsers, "schema", run, "print the JSON Schema of the language")


def run(args: Namespace) -> int:
    """Print it."""
    from ocspec.schema import json_schema

    print(json.dumps(json_schema(), indent=1))
    return exits.OK
