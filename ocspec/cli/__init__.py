"""The command line: one module per verb, each with `add_parser` and `run`. Here: errors become exit codes.

Not a second language: no option of it can enter a spec. What a verb needs is imported when it runs, so
that `ocspec --help` loads neither the engines nor the language.

Exit codes: 0 done, or no difference; 1 error; 2 differs (`why`; `diff` and `plan` with --exit-code); 3 a check failed
(`check`, `lock --check`); 4 over a budget (`plan`); 5 locked; 64 the command line cannot be understood; 70 a bug in
ocspec; 130 interrupted; 141 the output was cut off.
"""

from __future__ import annotations

import gc
import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Sequence

from compiler.errors import UserError
from ocspec.cli import exits
from ocspec.cli.parser import parse

COLLECTED_AFTER = 200_000
"""Objects more than before until garbage is looked for: a large plan is a million of them, of which none is any."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; SystemExit only for --help, --version and usage errors."""
    args = parse(sys.argv[1:] if argv is None else list(argv))
    warnings.formatwarning = _format_warning
    gc.set_threshold(COLLECTED_AFTER)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more on its way out; give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.BROKEN_PIPE
    except KeyboardInterrupt as stop:
        sys.stderr.write(f"{str(stop) or 'stopped'}\n")
        return exits.INTERRUPTED
    except Exception as error:
        return _explain(error, args)
    return status


_format_other = warnings.formatwarning


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """What a spec says that will not work for ever is one line (an ocspec.base.SpecWarning); others are as Python's."""
    if category.__name__ == "SpecWarning":
        return f"warning: {os.path.relpath(filename)}:{lineno}: {message}\n"
    return _format_other(message, category, filename, lineno, line)


def _explain(error: Exception, args: Namespace) -> int:
    """Say what went wrong; a traceback only for a bug, and only where it is asked for."""
    from ocspec.base import SpecError
    from ocspec.cli.output import say_errors

    if isinstance(error, UserError):
        say_errors(error)
        return exits.ERROR
    if isinstance(error, SpecError):
        say_errors(*error.problems)
        return exits.ERROR
    if args.traceback or os.environ.get("OCSPEC_TRACEBACK", "") not in {"", "0"}:
        import traceback

        traceback.print_exception(error)
    line = " ".join(str(error).split())[:300]
    say_errors(
        f"internal error: {type(error).__name__}: {line}\n"
        "  fix: this is a bug in ocspec; report it with the output of the same command and --traceback"
    )
    return exits.INTERNAL
