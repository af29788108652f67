"""A directory that two machines must share, tried from this side: written, read back, and removed at the end.

The other side is `runtime/probe.py`, on a node.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from runtime.probe import HERE, THERE


@attrs.frozen
class Shared:
    """What this side found: why the directory cannot be written, else how far ahead its clock is, in seconds."""

    path: Path
    error: str = ""
    ahead: float = 0.0

    def read_back(self, token: str) -> str:
        """Why what the node wrote is not seen here; empty where it is."""
        try:
            return "" if (self.path / THERE).read_text(encoding="utf-8") == token else "another file is seen here"
        except OSError as error:
            return f"{error.strerror} here"


@contextmanager
def shared_directory(directory: Path, token: str) -> Iterator[Shared]:
    """Make a directory with a file to read there, and remove what was made."""
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        directory.mkdir(parents=True)
        (directory / HERE).write_text(token, encoding="utf-8")
        now = time.time()
        os.utime(directory / HERE)
        here = Shared(directory, ahead=(directory / HERE).stat().st_mtime - now)
    except OSError as error:
        here = Shared(directory, error=error.strerror or str(error))
    try:
        yield here
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        for path in made[1:]:
            with contextlib.suppress(OSError):  # somebody else began to use it
                path.rmdir()
