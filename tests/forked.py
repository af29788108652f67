"""Programs of this repository run in processes that are forked from one which has imported what they need.

Each runs as `python -m` runs it, to its exit code, with a working directory, an environment and outputs of its own, and
leaves nothing behind for the next; only the seconds of importing are spent once for all. Not for tests of starting
itself: which modules are imported when, what a fresh interpreter makes of its environment.

As a program: reads one JSON request a line and answers each with a line that holds the exit code.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn

ROOT = Path(__file__).parents[1]
PATIENCE_S = 900  # a program that runs for longer is ended by SIGALRM


class Forked:
    """Runs `python -m` programs. A context manager: leaving it ends the process that they are forked from."""

    def __init__(self, imports: Sequence[str]) -> None:
        command = [sys.executable, "-m", "tests.forked", *imports]
        self._server = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def __enter__(self) -> Forked:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.communicate()

    def run(
        self, module: str, argv: Sequence[str], cwd: Path, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """What `subprocess.run([python, "-m", module, *argv], capture_output=True)` returns."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            request = {
                "module": module,
                "argv": list(argv),
                "cwd": str(cwd),
                "env": dict(env),
                "files": [f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in (out, err)],
            }
            assert self._server.stdin is not None and self._server.stdout is not None
            print(json.dumps(request), file=self._server.stdin, flush=True)
            code = int(self._server.stdout.readline())
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess([module, *argv], code, out.read().decode(), err.read().decode())


def serve(imports: Sequence[str]) -> None:
    """Import, then fork for each request."""
    for name in imports:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is here is no garbage of any child
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            answers.close()
            become(request)
            play(request["module"])
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(code, file=answers, flush=True)
    os._exit(0)  # frozen, DuckDB's objects look like leaks


def become(request: dict[str, object]) -> None:
    """Make of this process what the program finds when it starts."""
    module, argv, cwd, env, files = (request[name] for name in ("module", "argv", "cwd", "env", "files"))
    assert isinstance(module, str) and isinstance(argv, list) and isinstance(cwd, str)
    assert isinstance(env, dict) and isinstance(files, list)
    signal.alarm(PATIENCE_S)
    for number, path in enumerate([os.devnull, *files]):
        file = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.path[0] = cwd
    sys.argv = [module, *argv]


def play(module: str) -> NoReturn:
    """Run a module as the main one and end with its exit code, after what is due at the end of a program.

    What follows in an interpreter, taking down all that was ever imported, is left out: it takes a third of a second.
    """
    code: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as an interpreter that ends does
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    serve(sys.argv[1:])
