"""JSON lines in the order of steps, in a file that outlives the attempt.

Not a logger: how many lines belong to a step is known, and a resumed run cuts the file back to those of the step that
it resumes from. Where every step has one, line k is step k.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

from compiler.errors import UserError


class StepLog:
    """The log at `path`, cut back to its first `lines` lines; UserError where it has fewer."""

    def __init__(self, path: Path, lines: int) -> None:
        kept = _first_lines(path, lines)
        self._file = path.open("ab")
        self._file.truncate(kept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.sync()
        self._file.close()

    def append(self, line: dict[str, Any]) -> None:
        """Write one line, at once visible to other readers; ValueError for NaN and infinity."""
        self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
        self._file.flush()

    def sync(self) -> None:
        """Put every line on the disk: before a state that counts on them."""
        os.fsync(self._file.fileno())


def whole_lines(path: Path) -> int:
    """Lines that were written to their end; none where there is no file."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _first_lines(path: Path, count: int) -> int:
    """The bytes of the first `count` lines."""
    lines = path.read_bytes().splitlines(keepends=True)[:count] if path.exists() else []
    if len(lines) < count or not all(line.endswith(b"\n") for line in lines):
        raise UserError(
            f"{len(lines)} lines where the saved state needs {count}",
            where=str(path),
            fix=f"empty {path.parent}: the stage then starts anew",
        )
    return sum(map(len, lines))
