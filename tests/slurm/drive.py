"""A driver process for the cluster's tests: submits the run in a directory, and can be killed at any moment.

python -m tests.slurm.drive DIRECTORY [check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from compiler import plan as plans
from compiler.errors import UserError
from runtime.dispatch.slurm.kept_profile import read_profile
from runtime.dispatch.slurm.run import SlurmRun
from runtime.store import Store
from tests.slurm.graph import WORKER


def open_run(directory: Path, worker: str = WORKER) -> SlurmRun:
    """The run in a directory, with the profile that `make_run` kept there."""
    path = directory / plans.PLAN_FILE
    return SlurmRun(
        plan=plans.load(path),
        plan_path=path,
        store=Store(directory / "store"),
        profile=read_profile(directory),
        say=lambda text: print(text, file=sys.stderr, flush=True),
        worker=worker,
    )


if __name__ == "__main__":
    try:
        made = open_run(Path(sys.argv[1])).submit()
    except UserError as error:
        sys.exit(f"error: {error}")
    print(made.shards)
