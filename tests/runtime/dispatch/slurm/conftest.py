"""Plans whose shards are finished in this process, for what reads the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runtime import operators, worker
from runtime.dispatch.slurm.run import SlurmRun

Finish = Callable[[SlurmRun, str, int], None]


def _write(op: object, ctx) -> None:
    (ctx.output("tokens") / f"{ctx.shard}.txt").write_text(f"{ctx.task_id} {ctx.shard}\n")


@pytest.fixture
def finish(monkeypatch: pytest.MonkeyPatch) -> Finish:
    """Run a shard as a worker does, with an operator that writes one line."""
    monkeypatch.setattr(operators, "load", lambda op_id: _write)

    def finish(run: SlurmRun, task: str, shard: int) -> None:
        worker.run_shard(str(run.plan_path), task, shard, str(Path(run.store.root)))

    return finish
