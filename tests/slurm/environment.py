"""Which of the running clusters the tests' own environment leads to; it puts back what it found.

Not for the jobs: Slurm gives them theirs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tests.slurm.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
PREFIXES = ("SLURM", "SBATCH", "SQUEUE", "SCANCEL", "SACCT", "SRUN", "MUNGE_SOCKET")
_running: list[Cluster] = []
_found: dict[str, str] = {}


@contextlib.contextmanager
def running(cluster: Cluster) -> Iterator[Cluster]:
    """Run the cluster and point at it; afterwards at the one that still runs, or at what was there before.

    The order in which clusters end does not matter. Jobs find the tests' own modules.
    """
    with cluster:
        if not _running:
            _found.update(os.environ)
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        _running.append(cluster)
        try:
            point_at(cluster)
            yield cluster
        finally:
            _running.remove(cluster)
            point_at(_running[-1]) if _running else _put_back()


def point_at(cluster: Cluster) -> None:
    """Make the clients of Slurm talk to this cluster, without any setting left from another one."""
    for name in [name for name in os.environ if name.startswith(PREFIXES)]:
        del os.environ[name]
    os.environ.update(cluster.environment)


def _put_back() -> None:
    for name in [name for name in os.environ if name.startswith((*PREFIXES, "PYTHONPATH"))]:
        del os.environ[name]
    os.environ.update({name: value for name, value in _found.items() if name.startswith((*PREFIXES, "PYTHONPATH"))})
    _found.clear()
