"""Printing logs as they grow, like `tail -F`, until their task is over. It knows files and a question, and no Slurm."""

from __future__ import annotations

import codecs
import sys
import time
from collections.abc import Callable
from pathlib import Path

import attrs

Show = Callable[[str], str]
"""What is printed for a line of a log, both without their ends."""

POLL_S = 0.5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 10.0
BLOCK = 1 << 20


@attrs.define
class Tail:
    """One log, which may not be there yet, or be cut short and begin anew. Without `show` it is copied as it comes."""

    path: Path
    show: Show | None = None
    _offset: int = 0
    _rest: str = ""
    _decoder: codecs.IncrementalDecoder = attrs.field(
        factory=lambda: codecs.getincrementaldecoder("utf-8")(errors="replace")
    )

    def print_new(self) -> bool:
        """Print what was appended since the last call; whether there was anything."""
        try:
            if self.path.stat().st_size < self._offset:
                self._begin_anew()
            with self.path.open("rb") as file:
                file.seek(self._offset)
                block = file.read(BLOCK)
        except OSError:
            return False
        self._offset += len(block)
        self._write(self._decoder.decode(block))
        return bool(block)

    def _begin_anew(self) -> None:
        """End the line that the log was in, and read from its start."""
        if self._rest:
            sys.stdout.write(f"{self.show(self._rest) if self.show else ''}\n")
        self._offset, self._rest = 0, ""
        self._decoder.reset()

    def _write(self, text: str) -> None:
        """As it comes, or by whole lines, so that those of several logs do not mix."""
        if self.show:
            *lines, self._rest = (self._rest + text).split("\n")
            sys.stdout.writelines(f"{self.show(line)}\n" for line in lines)
        elif text:
            self._rest = text.rpartition("\n")[2]
            sys.stdout.write(text)
        sys.stdout.flush()

    def finish(self) -> None:
        """Print all that is left, a last line without an end too."""
        while self.print_new():
            pass
        if self._rest and self.show:
            sys.stdout.write(f"{self.show(self._rest)}\n")
            sys.stdout.flush()


def follow(find: Callable[[], dict[Path, Show | None]], is_over: Callable[[bool], bool]) -> None:
    """Print the logs that `find` names, each as it says, until `is_over`; both are asked ever more rarely.

    `is_over` is told whether anything was printed so far. What a log holds when its task is over is printed to the end.
    """
    tails: dict[Path, Tail] = {}
    pause, ask_at, printed = FIRST_PAUSE_S, 0.0, False
    while True:
        over = False
        if time.monotonic() >= ask_at:
            over = is_over(printed)
            ask_at, pause = time.monotonic() + pause, min(1.5 * pause, LONGEST_PAUSE_S)
            for path, show in find().items():
                tails.setdefault(path, Tail(path)).show = show
        grown = [tail.print_new() for tail in tails.values()]
        printed = printed or any(grown)
        if over:
            time.sleep(POLL_S)  # what a process says last comes after its result
            for tail in tails.values():
                tail.finish()
            return
        if not any(grown):
            time.sleep(POLL_S)
