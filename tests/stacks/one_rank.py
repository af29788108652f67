"""One rank of a training job in a process of its own, as a worker would run it. Not a test: `bench.Bench` starts it.

    python -m tests.stacks.one_rank ARGUMENTS.json

ARGUMENTS are the job, its inputs and outputs, and what happens: `stop_after` asks for the end after so many steps,
`kill_after` and `term_after` send a signal there, `largest_file` is a limit in bytes as of a full disk, `nan_before`
spoils a weight of rank 1 before that step. Exit codes as of a worker; the last line printed is the JSON of the stage's
stats.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import cattrs

from compiler.errors import UserError
from compiler.trainjob import TrainJob
from runtime import interruption, launch
from runtime.full_disk import as_one_message
from runtime.training.ranks import Ranks
from runtime.training.request import Request
from runtime.training.run import train_function


def spoil_a_weight() -> None:
    """What a broken device would do: one number of this rank's model is none."""
    (engine,) = (each for each in gc.get_objects() if type(each).__name__ == "MegatronEngine")
    next(engine.built.model.parameters()).data.view(-1)[0] = float("nan")


def run(arguments: dict[str, Any], ranks: Ranks) -> dict[str, Any]:
    """Train; the stats that the stage leaves in its manifest."""
    done = 0

    def progress(steps: int, total: int, unit: str) -> None:
        nonlocal done
        done = steps
        for name, number in (("kill_after", signal.SIGKILL), ("term_after", signal.SIGTERM)):
            if steps == arguments.get(name):
                os.kill(os.getpid(), number)

    looks = 0

    def stop() -> bool:
        nonlocal looks
        looks += 1  # one before the first step, then one after each
        if looks == arguments.get("nan_before") and not ranks.leads:
            spoil_a_weight()
        return interruption.requested() or (ranks.leads and 0 < done == arguments.get("stop_after"))

    job = cattrs.structure(arguments["job"], TrainJob)
    out = Path(arguments["out"])
    request = Request(
        job=job,
        tokens=[Path(path) for path in arguments["tokens"]],
        blend=Path(arguments["blend"]),
        init=Path(arguments["init"]) if arguments.get("init") else None,
        held_out=Path(arguments["held_out"]) if arguments.get("held_out") else None,
        out=out if ranks.leads else out.with_name(f"{out.name}-rank-{ranks.here.rank}"),
        resume=Path(arguments["resume"]),
        threads=1,
        ranks=ranks,
        progress=progress,
        stop=stop,
    )
    train_function(job.backend)(request)
    return request.stats


def main() -> int:
    """The exit code."""
    arguments = json.loads(Path(sys.argv[1]).read_text())
    interruption.listen()
    os.environ.update(launch.rank_environment(os.environ))
    if limit := arguments.get("largest_file"):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    ranks = Ranks.meet(os.environ) if os.environ["WORLD_SIZE"] != "1" else Ranks.one()
    try:
        with ranks, as_one_message(arguments["resume"], fix="free some"):
            if ranks.leads:
                ranks.begin()
            elif not ranks.follow():
                return 0
            print(json.dumps(run(arguments, ranks)))
    except interruption.Interrupted as stop:
        print(stop, file=sys.stderr)
        return interruption.EXIT_CODE
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return launch.LOST_EXIT_CODE if isinstance(error, launch.Lost) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
