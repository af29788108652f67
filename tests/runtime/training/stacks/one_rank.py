"""One rank of a training job in a process of its own, as a worker would run it. Not a test: `stacks.conftest` starts it.

    python -m tests.runtime.training.stacks.one_rank ARGUMENTS.json

ARGUMENTS are the job, its inputs and outputs, and what happens: `stop_after` asks for the end after so many steps,
`kill_after` kills the process there. Exit codes as of a worker; the last line printed is the JSON of the stage's stats.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import cattrs

from compiler.errors import UserError
from compiler.trainjob import TrainJob
from runtime import interruption, launch
from runtime.training.ranks import Ranks
from runtime.training.run import train_function


def run(arguments: dict[str, Any], ranks: Ranks) -> dict[str, Any]:
    """Train; the stats that the stage leaves in its manifest."""
    done, stats = 0, dict[str, Any]()

    def progress(steps: int, total: int, unit: str) -> None:
        nonlocal done
        done = steps
        if steps == arguments.get("kill_after"):
            os.kill(os.getpid(), signal.SIGKILL)

    job = cattrs.structure(arguments["job"], TrainJob)
    out = Path(arguments["out"])
    train_function(job.backend)(
        job,
        tokens=[Path(path) for path in arguments["tokens"]],
        blend=Path(arguments["blend"]),
        init=Path(arguments["init"]) if arguments.get("init") else None,
        out=out if ranks.leads else out.with_name(f"{out.name}-rank-{ranks.here.rank}"),
        resume=Path(arguments["resume"]),
        threads=1,
        tokenizer=None,
        progress=progress,
        stats=stats,
        ranks=ranks,
        stop=lambda: ranks.leads and done > 0 and done == arguments.get("stop_after"),
    )
    return stats


def main() -> int:
    """The exit code."""
    arguments = json.loads(Path(sys.argv[1]).read_text())
    os.environ.update(launch.rank_environment(os.environ))
    ranks = Ranks.meet(os.environ) if os.environ["WORLD_SIZE"] != "1" else Ranks.one()
    try:
        with ranks:
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
