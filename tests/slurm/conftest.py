"""The clusters that the tests here share; not simulations (see `cluster.py`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.slurm.cluster import Cluster, Shape, missing_programs
from tests.slurm.environment import point_at, running

HOW = "run `sh tests/slurm/install.sh` as root"
# A dead node's job is requeued after 12 s, 30 s without these; a controller that hangs is noticed after 3 s.
QUICK = {"SlurmdTimeout": "5", "MessageTimeout": "3", "BatchStartTimeout": "2"}


@pytest.fixture(scope="session")
def slurm_programs() -> None:
    """Skip where Slurm is not installed."""
    if missing := missing_programs():
        pytest.skip(f"needs Slurm ({', '.join(missing)} not found): {HOW}")


@pytest.fixture(scope="session")
def slurm_cluster(slurm_programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes of 8 processors and 2 pretended GPUs; arrays of at most 4, so that they have to be split.

    Points the environment at the cluster until the session ends; jobs find the tests' own modules.
    """
    settings = {"MaxArraySize": "4"}
    with running(Cluster(tmp_path_factory.mktemp("slurm"), Shape(settings=settings))) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def fault_cluster(slurm_programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four nodes that a module may break: each test finds it healed, and the environment pointing at it.

    Its partitions preempt each other. It keeps accounts where the programs for that are installed.
    """
    accounting = not missing_programs(accounting=True)
    shape = Shape(nodes=4, preemption=True, grace_s=6, accounting=accounting, settings=QUICK)
    with running(Cluster(tmp_path_factory.mktemp("faults"), shape)) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def accounting_cluster(fault_cluster: Cluster) -> Cluster:
    """The cluster for faults where `sacct` works; skips where it can't."""
    if missing := missing_programs(accounting=True):
        pytest.skip(f"needs Slurm's accounting ({', '.join(missing)} not found): {HOW}")
    return fault_cluster


@pytest.fixture(autouse=True)
def own_cluster(request: pytest.FixtureRequest) -> None:
    """Point the environment at the cluster that this test asks for, whichever started last."""
    if "fault_cluster" in request.fixturenames:
        broken = request.getfixturevalue("fault_cluster")
        broken.start()
        point_at(broken)
    elif "slurm_cluster" in request.fixturenames:
        point_at(request.getfixturevalue("slurm_cluster"))
