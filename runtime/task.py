"""What one shard of one task sees: its inputs, where it may write, and its limits.

Not the store and not the scheduler: an operator's function gets a TaskContext and needs to know nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Artifact:
    """A finished output of a task: a directory with one sub-directory per declared output, and its manifest."""

    path: Path
    task_id: str = ""
    manifest: Mapping[str, Any] = attrs.field(factory=dict)

    def files(self, output: str, pattern: str = "*.parquet") -> list[Path]:
        """The files of one output, sorted by name."""
        return sorted((self.path / output).glob(pattern))


def _silent(done: int, total: int, unit: str) -> None:
    """Progress that nobody looks at."""


@attrs.frozen(kw_only=True)
class TaskContext:
    """Shard `shard` of `shards` of one task.

    `out` is empty and becomes the artefact: an operator writes `out / OUTPUT / ...`. `resume` survives a killed
    attempt. `stats` is a tree of numbers that are summed over the shards into the manifest; `in`, `kept` and
    `dropped` count documents, and in = kept + dropped is checked. `ranks` are the processes that share the shard (a
    runtime.training.ranks.Ranks), None where this one has it alone; only training has several.
    """

    task_id: str
    out: Path
    scratch: Path
    resume: Path
    cache: Path
    shard: int = 0
    shards: int = 1
    inputs: Mapping[str, tuple[Artifact, ...]] = attrs.field(factory=dict)
    sql: Mapping[str, str] = attrs.field(factory=dict)
    threads: int = 1
    memory_mb: int = 2048
    base: Path = attrs.field(factory=Path.cwd)
    stats: dict[str, Any] = attrs.field(factory=dict)
    progress: Callable[[int, int, str], None] = _silent
    ranks: Any = None

    def input(self, role: str) -> Artifact:
        """The one artefact given for `role`."""
        (artifact,) = self.inputs[role]
        return artifact

    def files(self, role: str, output: str) -> list[Path]:
        """The Parquet files of `output`, over all artefacts given for `role`."""
        return [path for artifact in self.inputs.get(role, ()) for path in artifact.files(output)]

    def output(self, name: str) -> Path:
        """The directory of one output, made when first asked for."""
        directory = self.out / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory
