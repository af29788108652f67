"""Each fault once, on a real cluster. What they are and must hold is in `faults.py`, which tries them many times."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.slurm.cluster import Cluster, missing_programs
from tests.slurm.environment import running
from tests.slurm.faults import FAULTS, attempt, shape

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def breakable(slurm_programs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster that `python -m tests.slurm.faults` breaks, too."""
    if missing := missing_programs(accounting=True):
        pytest.skip(f"needs Slurm's accounting ({', '.join(missing)} not found): run sh tests/slurm/install.sh")
    with running(Cluster(tmp_path_factory.mktemp("cluster"), shape())) as cluster:
        yield cluster


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_lost_and_nothing_done_twice(breakable: Cluster, name: str) -> None:
    """The run ends with the content of an unbroken one, or with the cause and a way on."""
    assert attempt(name, 0, breakable)
