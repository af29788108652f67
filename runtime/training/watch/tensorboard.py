"""Event files for TensorBoard, where OCSPEC_TENSORBOARD=1 asks for them and the package `tensorboard` is there.

Not torch's SummaryWriter: that writes from a thread of its own, so that a killed process takes with it what was not
flushed, and a full disk shows as the traceback of a thread. Here a step is written when it is shown, and an error is
the caller's.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compiler.trainjob import TrainJob
from runtime.training.watch.names import Unavailable

VARIABLE = "OCSPEC_TENSORBOARD"
DIRECTORY = "tensorboard"


class EventFile:
    """One attempt's event file in `directory`; steps after the first `first` that earlier attempts wrote are void."""

    def __init__(self, directory: Path, first: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        directory.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 1000:016d}.{socket.gethostname()}.{first}"
        self._file = (directory / name).open("xb")
        self._records = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")
        self._write(step=first + 1, session_log=SessionLog(status=SessionLog.START))  # drops that step and later ones
        self._file.flush()

    def show(self, step: int, numbers: Mapping[str, float]) -> None:
        """Write the numbers of a step; they are with the operating system when this returns."""
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
        self._write(step=step, summary=self._summary(value=values))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, **fields: Any) -> None:
        self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())


def start(environ: Mapping[str, str], job: TrainJob, resume: Path, first: int) -> EventFile | None:
    """An event file below `resume`, if the environment asks for one; Unavailable without the package."""
    if environ.get(VARIABLE) != "1":
        return None
    try:
        return EventFile(resume / DIRECTORY, first)
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"{VARIABLE}=1 asks for it, but there is no module {error.name}: install tensorboard"
        ) from None


def copy(resume: Path, log: Path) -> None:
    """Copy the event files of all attempts to where a finished stage has them."""
    if (resume / DIRECTORY).is_dir():
        shutil.copytree(resume / DIRECTORY, log / DIRECTORY, dirs_exist_ok=True)
