"""The journal: what happened, append-only. Each process writes a file of its own, so many writers never collide.

Not a database and never the truth about what is finished: that is the store. It is for people, reports and cost.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs


@attrs.frozen
class Journal:
    """The events of all runs of one plan, in `directory/*.jsonl`."""

    directory: Path

    def write(self, event: str, **fields: Any) -> None:
        """Append one event; a line is written in one call and flushed to disk."""
        self.directory.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"time": round(time.time(), 3), "event": event, **fields}, sort_keys=True)
        with (self.directory / f"{socket.gethostname()}-{os.getpid()}.jsonl").open("a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[dict[str, Any]]:
        """All events in order of time; a line cut short by a crash is left out."""
        events = [event for path in sorted(self.directory.glob("*.jsonl")) for event in _lines(path)]
        return sorted(events, key=lambda event: event["time"])


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as file:
        for line in file:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and "time" in event:
                yield event
