"""The supervisor: a job in the cluster that submits again what failed for a cause that is tried again.

    python -m runtime.dispatch.slurm.supervisor PLAN STORE

Slurm starts it when a job of the run failed and ends it unstarted when all ended well. It does what `ocspec submit`
does, within the retry policy, leaves a supervisor for what it queued, and ends: nothing runs on the login node.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from compiler import plan as plans
from compiler.errors import UserError
from runtime.dispatch.slurm.client import Unanswered
from runtime.dispatch.slurm.kept_profile import read_profile
from runtime.dispatch.slurm.run import SlurmRun
from runtime.dispatch.slurm.submission import QueueFull
from runtime.lease import LeaseHeld
from runtime.store import Store

# Where a limit on the number of jobs is reached, or the controller is away: within the 30 minutes that this job has.
FULL_ATTEMPTS = 25
FULL_PAUSE_S = 60


def main(argv: list[str]) -> int:
    """Submit once within the policy; 0 unless that was not possible."""
    plan_path, store = Path(argv[0]), Path(argv[1])
    for _ in range(FULL_ATTEMPTS):
        try:
            return _submit(plan_path, store, *argv[2:])
        except (QueueFull, Unanswered, LeaseHeld) as error:
            _say(f"{error}\nasking again in {FULL_PAUSE_S} s")
            time.sleep(FULL_PAUSE_S)
        except UserError as error:
            sys.stderr.write(f"error: {error}\n")
            return 1
    return 1


def _submit(plan_path: Path, store: Path, worker: str = "runtime.worker") -> int:
    run = SlurmRun(
        plan=plans.load(plan_path),
        plan_path=plan_path,
        store=Store(store),
        profile=read_profile(plan_path.parent),
        say=_say,
        worker=worker,
    )
    made = run.submit(supervisor=True)
    _say(f"{made.shards} shards of {len(made.tasks)} tasks queued again; {len(made.blocked)} tasks wait for a person")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
