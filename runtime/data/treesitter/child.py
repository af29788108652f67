"""The process that parses for another one: it takes jobs on its standard input until that is closed.

Started by `runtime.data.treesitter.isolated`, which says why. Not a sandbox: it bounds memory, and dies of the rest.
Every message is its length in 8 bytes and a pickle: `(module, function, arguments, options)` from the parent, back
comes `(True, result)`, or `(False, traceback)` where the function raised.
"""

from __future__ import annotations

import importlib
import os
import pickle
import resource
import signal
import sys
import traceback
from typing import IO, Any

from runtime.processes import die_with_parent

OUT_OF_MEMORY = 77
"""The exit status where it is Python that got no memory; the parser's own code aborts."""

STACK_BYTES = 8 << 20
_LENGTH_BYTES = 8


def send(stream: IO[bytes], message: Any) -> None:
    """Write one message."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    stream.write(len(data).to_bytes(_LENGTH_BYTES, "little") + data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read one message; raises EOFError where the other side is gone, also in the middle of one."""
    size = int.from_bytes(_exactly(stream, _LENGTH_BYTES), "little")
    return pickle.loads(_exactly(stream, size))  # noqa: S301 - from our own child or parent


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def bound_memory(size: int) -> None:
    """Give this process at most `size` bytes of memory of its own, a stack of a known size, and no core dump.

    RLIMIT_DATA counts what is allocated; RLIMIT_AS would count shared libraries too, which differ by machine.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, resource.getrlimit(resource.RLIMIT_STACK)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def serve(jobs: IO[bytes], answers: IO[bytes]) -> None:
    """Answer jobs until there are no more; ends the process where memory is used up, also in reading or answering."""
    try:
        while _answered(jobs, answers):
            pass
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def _answered(jobs: IO[bytes], answers: IO[bytes]) -> bool:
    """Answer one job; False where there are no more."""
    try:
        module, function, arguments, options = receive(jobs)
    except EOFError:
        return False
    try:
        answer = (True, getattr(importlib.import_module(module), function)(*arguments, **options))
    except MemoryError:
        raise
    except Exception:  # whatever it is: the parent raises it again
        answer = (False, traceback.format_exc())
    send(answers, answer)
    return True


def main(parent: int, memory_bytes: int) -> None:
    """Serve on standard input and output. What goes wrong before the first answer is told on standard error."""
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the input
    jobs, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    bound_memory(memory_bytes)
    send(answers, (True, os.getpid()))
    with open(os.devnull, "wb") as nowhere:  # what the parser says when it aborts, the parent says better
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    serve(jobs, answers)
