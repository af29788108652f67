"""Functions that parse, run in a process of their own whose memory is bounded: hostile input kills only that.

The parser's C code takes memory that its steps do not show: thousands of errors within one expression (`a=>a=>...`)
take the C and Java grammars memory quadratic in their number, 2.3 GB for 8 kB, all of it between two calls of the
progress callback (tree-sitter 0.26). It then aborts, and a scanner that does not check what it allocates crashes. So
every thread that parses keeps one child, started when it first parses; a child that dies is replaced. A document is
given up only when a child that parsed nothing before died of it: the verdict does not depend on the documents before,
on the task's memory nor on a clock. It depends on the limit and, close to it, on how the C library allocates.

Not a time limit: `parsing` bounds the parser's steps. Not a sandbox.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from compiler.errors import UserError
from runtime.data.treesitter import child
from runtime.data.treesitter.counting import Structure
from runtime.data.treesitter.counting import structure as _structure

MEMORY_BYTES = 512 << 20
"""Memory of the child, its interpreter included, whatever the task's own, which it comes on top of.

Of 297 real files of 0.15 to 0.94 MB none took more than 85 MB, some 17 MB of it the
interpreter's and the grammars': some 90 bytes for each byte of text, so that MAX_PARSE_BYTES of such text fit.
"""

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

# How a process ends that got no memory, or whose C code went wrong. SIGKILL and SIGTERM come from outside.
_OWN_DEATHS = {child.OUT_OF_MEMORY, *(-n for n in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE))}
_START = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from runtime.data.treesitter.child import main; main(*map(int, sys.argv[1:3]))"
)

_local = threading.local()


class ParserFailed(Exception):
    """A document of which the parser dies: it takes more memory than there is, or crashes."""


def structure(source: bytes, language: str) -> Structure | None:
    r"""What `treesitter.structure` gives; raises ParserFailed where the parser dies of it.

    >>> with parser_process():
    ...     structure(b"def f():\n    pass\n", "python").functions
    1
    """
    return call(_structure, source, language)


def call(function: Callable[_Parameters, _Result], *args: _Parameters.args, **options: _Parameters.kwargs) -> _Result:
    """The function's result, computed in this thread's child; function, arguments and result are pickled.

    Raises ParserFailed where the child dies of it, UserError where something else ends the child, RuntimeError where
    the function raises.
    """
    job = (function.__module__, function.__name__, args, options)
    while True:
        process = _child()
        try:
            return process.ask(job)  # type: ignore[no-any-return]
        except EOFError:
            if process.jobs == 1:  # only this one
                raise ParserFailed from None


@contextmanager
def parser_process() -> Iterator[None]:
    """Ends this thread's child, if one was started, so that its processor time counts as that of the task."""
    try:
        yield
    finally:
        _stop()


class _Child:
    """One child process: started at once, ended with this object, with its thread or with this process."""

    def __init__(self, memory_bytes: int) -> None:
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        if hard != resource.RLIM_INFINITY and hard < memory_bytes:
            raise UserError(
                f"the parser may take {memory_bytes >> 20} MB of memory, but `ulimit -d` allows {hard >> 20} MB",
                fix="raise the limit: with another one, other documents would be dropped",
            )
        paths = [path or os.getcwd() for path in sys.path]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, str(os.getpid()), str(memory_bytes), *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin and self._process.stdout
        self._jobs_to, self._answers_of = self._process.stdin, self._process.stdout
        self.owner = os.getpid()
        self.jobs = 0
        self.stop = weakref.finalize(self, _end, self._process, self.owner)
        try:
            child.receive(self._answers_of)
        except EOFError:
            raise RuntimeError(f"the parser's process ended with {self._process.wait()} before it began") from None

    def ask(self, job: tuple[Any, ...]) -> Any:
        """The answer to a job; raises EOFError where the child dies of it."""
        self.jobs += 1
        try:
            child.send(self._jobs_to, job)
            worked, answer = child.receive(self._answers_of)
        except (EOFError, BrokenPipeError):
            status = self._process.wait()
            self.stop()
            if status in _OWN_DEATHS:
                raise EOFError from None
            raise UserError(
                f"the parser's process was ended from outside, with status {status}",
                fix=f"if memory ran out, give the task {MEMORY_BYTES >> 20} MB beside its own, or run fewer at once",
            ) from None
        except BaseException:  # interrupted half-way: the next answer would be that of this job
            self.stop()
            raise
        if not worked:
            raise RuntimeError(f"in the parser's process:\n{answer}")
        return answer


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    """Kill and reap: it keeps nothing. A forked copy of the owner leaves it alone."""
    if os.getpid() == owner:
        process.kill()
        process.communicate()


def _child() -> _Child:
    """The child of this thread, started if there is none."""
    found: _Child | None = getattr(_local, "child", None)
    if found is None or found.owner != os.getpid() or not found.stop.alive:
        found = _local.child = _Child(MEMORY_BYTES)
    return found


def _stop() -> None:
    found: _Child | None = _local.__dict__.pop("child", None)
    if found is not None:
        found.stop()
