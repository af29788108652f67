"""What is told of a run while it runs, beside its metrics: speed and memory of each step.

Not the metrics themselves (`loop.Recorder`), which are the same in every run of a job: all here depends on the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from compiler.trainjob import TrainJob


@attrs.define
class Watchers:
    """Those who look at each step as it ends."""

    @contextmanager
    def open(self, job: TrainJob, resume: Path, first: int) -> Iterator[None]:
        """The block in which steps from `first` on are shown."""
        yield

    def timing(self, tokens: int, seconds: float) -> dict[str, Any]:
        """The line of timings of a step."""
        return {"seconds": round(seconds, 6), "tokens_per_second": round(tokens / max(seconds, 1e-9), 1)}

    def show(self, line: Mapping[str, Any], timing: Mapping[str, Any]) -> None:
        """Take in one step."""
