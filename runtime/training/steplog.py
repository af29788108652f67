"""One JSON line per optimizer step, in a file that outlives the attempt.

Not a logger: line k is step k, and a resumed run cuts the file back to the step that it resumes from.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self

from compiler.errors import UserError


class StepLog:
    """The log at `path`, cut back to its first `step` lines; UserError where it has fewer."""

    def __init__(self, path: Path, step: int) -> None:
        kept = _first_lines(path, step)
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


def _first_lines(path: Path, count: int) -> int:
    """The bytes of the first `count` lines."""
    lines = path.read_bytes().splitlines(keepends=True)[:count] if path.exists() else []
    if len(lines) < count or not all(line.endswith(b"\n") for line in lines):
        raise UserError(
            f"{len(lines)} lines where the saved state is at step {count}",
            where=str(path),
            fix=f"empty {path.parent}: the stage then starts anew",
        )
    return sum(map(len, lines))
