"""The tiny experiment on a real Slurm cluster: the same content digests as in one process on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.plan import Plan
from runtime.dispatch.slurm.ledger import Ledger
from runtime.run import Summary
from tests.runtime.conftest import Workbench, corpus, finished
from tests.slurm.conftest import slurm_cluster

__all__ = ["corpus", "finished", "slurm_cluster"]  # fixtures, for pytest
pytestmark = pytest.mark.slurm


def test_a_plan_on_slurm_gives_the_digests_of_a_local_run(
    finished: tuple[Workbench, Plan, Path, Summary], tmp_path: Path, slurm_cluster: object
) -> None:
    """4 shards on the cluster against 1 in this process: every artefact of the plan, training included."""
    bench, plan, _, _ = finished
    other = Workbench(tmp_path, bench.corpus)
    shared, path = other.compile(shards=4)
    (tmp_path / "ocspec.toml").write_text('[profiles.lab]\ndispatch = "slurm"\npython = "' + sys.executable + '"\n')
    command = [sys.executable, "-m", "ocspec.cli", "submit", str(path), "--store", str(other.store.root)]
    done = subprocess.run(
        [*command, "--profile", "lab", "--wait"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for task in plan.tasks:
        mine, theirs = bench.store.find(task.fingerprint), other.store.find(task.fingerprint)
        assert mine is not None and theirs is not None, task.id
        assert theirs.manifest["digest"] == mine.manifest["digest"], task.id
    submitted = [(one.task, shard) for one in Ledger(path.parent).submissions() for shard in one.shards]
    assert sorted(submitted) == sorted((task.id, shard) for task in shared.tasks for shard in range(task.shards))
