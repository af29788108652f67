"""The command line with the worker of these tests: `python -m tests.slurm.command VERB ...`. Nothing else differs."""

from __future__ import annotations

import functools
import sys

from ocspec.cli import main
from runtime.dispatch.slurm import run
from tests.slurm.graph import WORKER

if __name__ == "__main__":
    setattr(run, "SlurmRun", functools.partial(run.SlurmRun, worker=WORKER))  # noqa: B010
    sys.exit(main())
