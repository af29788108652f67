"""ocspec submit with a profile for SLURM, on a real Slurm of one machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.slurm.cluster import Cluster, Shape, missing_programs

from .conftest import environment
from .test_submit import forget

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(missing_programs()), reason="needs Slurm's programs (tests/slurm/install.sh)"),
]


def test_submit_follows_jobs_to_their_end(built: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    forget(built, "pretrain/mix")
    Path("ocspec.toml").write_text("[profiles.cluster]\ndispatch = 'slurm'\nminutes = 2\n")
    with Cluster(tmp_path_factory.mktemp("slurm"), Shape()) as cluster:
        command = [sys.executable, "-m", "ocspec.cli", "submit", "--profile", "cluster", "--wait"]
        environ = {**environment(), **cluster.environment}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 ran, 13 reused, 0 cut off, 0 failed in ")
    assert "1 of 14 tasks to run on SLURM" in done.stderr
    assert re.search(r"s  done       pretrain/mix\n$", done.stderr)  # too short to be seen running for sure
    assert list(Path("build/tiny/logs/slurm/pretrain--mix").glob("*_log.out"))
