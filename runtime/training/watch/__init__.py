"""What is told of a run while it runs, beside its metrics: speed and memory, TensorBoard, Weights & Biases.

Not the metrics themselves (`loop.Recorder`), which are the same in every run of a job: all here depends on the machine
and on its environment, enters no fingerprint, and may fail without any harm. A watcher that cannot start or breaks is
named once on stderr and switched off; the training goes on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Protocol

import attrs
import torch

from compiler.trainjob import TrainJob
from runtime.training.watch import tensorboard, wandb
from runtime.training.watch.names import Unavailable, of_step, of_validation
from runtime.training.watch.speed import timing


class Watcher(Protocol):
    """Takes in numbers by name as a run makes them; anything that it raises switches it off."""

    def show(self, step: int, numbers: Mapping[str, float]) -> None:
        """Take in what is known of a step, counted from 1; the same step may come twice, with other names."""

    def close(self) -> None:
        """No more steps come in this attempt."""


Start = Callable[[Mapping[str, str], TrainJob, Path, int], Watcher | None]
"""Environment, job, directory to keep files in, steps already done -> a watcher, or None where nobody asked for it."""

WATCHERS: dict[str, Start] = {"TensorBoard": tensorboard.start, "Weights & Biases": wandb.start}


@attrs.define(eq=False)
class Watchers:
    """Those who look at each step as it ends, on rank 0; on `devices` devices of this kind at this precision."""

    device: torch.device = attrs.field(factory=lambda: torch.device("cpu"))
    precision: Literal["fp32", "bf16"] = "fp32"
    devices: int = 1
    _watching: dict[str, Watcher] = attrs.field(factory=dict, init=False)

    @contextmanager
    def open(self, job: TrainJob, resume: Path, first: int) -> Iterator[None]:
        """The block in which steps from `first` (0-based) on are shown."""
        for name, start in WATCHERS.items():
            with self._or_off(name):
                watcher = start(os.environ, job, resume, first)
                if watcher is not None:
                    self._watching[name] = watcher
        try:
            yield
        finally:
            while self._watching:
                name, watcher = self._watching.popitem()
                with self._or_off(name):
                    watcher.close()

    def timing(self, job: TrainJob, step: int, seconds: float) -> dict[str, Any]:
        """The line of timings of step `step` (0-based), which took so many seconds."""
        return timing(job, step, seconds, self.device, self.precision, self.devices)

    def show(self, line: Mapping[str, Any], timing: Mapping[str, Any]) -> None:
        """Take in one step: its lines of metrics and of timings."""
        self._show(line["step"], of_step(line, timing))

    def show_validation(self, line: Mapping[str, Any]) -> None:
        """Take in a measurement on held-out text."""
        self._show(line["step"], of_validation(line))

    def _show(self, step: int, numbers: Mapping[str, float]) -> None:
        for name, watcher in list(self._watching.items()):
            with self._or_off(name):
                watcher.show(step, numbers)

    @contextmanager
    def _or_off(self, name: str) -> Iterator[None]:
        """Whatever a watcher raises: say it, and look at it no more."""
        try:
            yield
        except Exception as error:
            watcher = self._watching.pop(name, None)
            why = str(error) if isinstance(error, Unavailable) else f"{type(error).__name__}: {error}"
            _say(f"{name} is off: {' '.join(why.split())}; the training goes on")
            if watcher is not None:
                with suppress(Exception):  # the second complaint of the same watcher
                    watcher.close()


def copy_kept(resume: Path, log: Path) -> None:
    """Put what watchers keep for people into a finished stage's `log`; what cannot be copied is said."""
    try:
        tensorboard.copy(resume, log)
    except OSError as error:
        _say(f"the TensorBoard files stay in {resume}: {error}")


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()
