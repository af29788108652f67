"""The product's side of `slurm_submit`: a plan submitted to Slurm, watched, and submitted again.

    python -m benchmarks.ours_slurm PLAN.json SECONDS [--packed]

What `ocspec submit` does, in one process; the plan is compiled before. Jobs are held, so that nothing runs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.peers.marks import mark
from compiler import plan as plans
from compiler.profile import Profile
from runtime.dispatch.slurm.run import SlurmRun
from runtime.store import Store

FIRST_PAUSE_S, GROWTH, LONGEST_PAUSE_S = 1.0, 1.5, 30.0


def watch(run: SlurmRun, seconds: float) -> None:
    """Look again and again for so long, with the pauses of `submit --wait`."""
    end, pause = time.monotonic() + seconds, FIRST_PAUSE_S
    while time.monotonic() < end:
        run.look()
        time.sleep(max(0.0, min(pause, end - time.monotonic())))
        pause = min(LONGEST_PAUSE_S, GROWTH * pause)


def main() -> None:
    """Check, submit, look once, watch, submit again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--packed", action="store_true")
    args = parser.parse_args()
    run = SlurmRun(
        plan=plans.load(args.plan),
        plan_path=args.plan,
        store=Store(args.plan.parent / "store"),
        profile=Profile(name="bench", dispatch="slurm", sbatch={"hold": ""}, shards_per_job=None if args.packed else 1),
    )
    if problems := run.check():
        raise problems[0]
    mark("check")
    run.submit()
    mark("submit")
    run.look()
    mark("look")
    watch(run, args.seconds)
    mark("watch")
    run.submit()
    mark("again")


if __name__ == "__main__":
    main()
