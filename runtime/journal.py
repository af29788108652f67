"""The journal: what happened, append-only, in one file per machine: processes of one machine may append to one file.

Processes of several machines may not, on most shared file systems. Not a database and never the truth about what is
finished: that is the store. It is for people, reports and cost.
"""

from __future__ import annotations

import json
import os
import platform
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from runtime.processes import machine


@attrs.frozen
class Journal:
    """The events of all runs of one plan, in `directory/*.jsonl`."""

    directory: Path

    def write(self, event: str, **fields: Any) -> None:
        """Append one event, durably; OSError where it cannot be written whole (the next event is whole again)."""
        self.directory.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"time": round(time.time(), 3), "event": event, **fields}, sort_keys=True)
        handle = os.open(self.directory / file_name(platform.node()), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            # Seen in the middle of another's write, an end looks torn too: then there is an empty line, which is none.
            text = ("\n" if _is_torn(handle) else "") + line + "\n"
            _write_whole(handle, text.encode())
            os.fsync(handle)
        finally:
            os.close(handle)

    def read(self) -> list[dict[str, Any]]:
        """All events in order of time, those of one time as in their file; a line cut short by a crash is left out."""
        events = [event for path in sorted(self.directory.glob("*.jsonl")) for event in _events(path)]
        return sorted(events, key=lambda event: event["time"])


def file_name(node: str) -> str:
    """The file that processes of this machine share; machines of one name (containers) differ in the second part."""
    place = uuid.uuid5(uuid.NAMESPACE_DNS, f"{node} {machine().partition('/')[0] or uuid.getnode()}")
    return f"{re.sub('[^A-Za-z0-9.-]', '_', node)[:64]}-{place.hex[:8]}.jsonl"


def _is_torn(handle: int) -> bool:
    """Whether a file ends in the middle of a line."""
    size = os.fstat(handle).st_size
    return size > 0 and os.pread(handle, 1, size - 1) != b"\n"


def _write_whole(handle: int, text: bytes) -> None:
    """Write in one call, or fail with the system's reason: a disk that is nearly full takes a part first."""
    while text:
        text = text[os.write(handle, text) :]


def _events(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().split(b"\n"):
        try:
            event = json.loads(line.decode())
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("time"), int | float) and "event" in event:
            yield event
