"""The cluster that the tests here share; not a simulation (see `cluster.py`)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.slurm.cluster import Cluster, Shape, missing_programs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def slurm_programs() -> None:
    """Skip where Slurm is not installed."""
    if missing := missing_programs():
        pytest.skip(f"needs Slurm ({', '.join(missing)} not found): run `sh tests/slurm/install.sh` as root")


@pytest.fixture(scope="session")
def slurm_cluster(slurm_programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes of 8 processors and 2 pretended GPUs; arrays of at most 4, so that they have to be split.

    Points the environment at the cluster until the session ends; jobs find the tests' own modules.
    """
    settings = {"MaxArraySize": "4"}
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("SLURM", "SBATCH", "SQUEUE", "SCANCEL"))]:
            patch.delenv(name)
        with Cluster(tmp_path_factory.mktemp("slurm"), Shape(settings=settings)) as cluster:
            for name, value in cluster.environment.items():
                patch.setenv(name, value)
            patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
            yield cluster
