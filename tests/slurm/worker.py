"""The worker of the cluster's tests: the product's, but for the operators, which do what `behaviours.json` says.

Behaviours, by "TASK.SHARD" or "TASK": finish (the default); sleep SECONDS; sleep once (1000 s at the first attempt);
wait FILE (until it is there); after FILE BEHAVIOUR (once it is there); refuse (a UserError); rank N (a UserError in
that rank, the others sleep); large (1 MB of scratch); crash (exit 7); need MB (a MemoryError unless the job has as
much); environment (the process's environment is the output).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from compiler.errors import UserError
from runtime import interruption, operators, worker
from runtime.task import TaskContext


def sleep(seconds: float) -> None:
    """Sleep until the time is over, or training is asked to stop."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if interruption.requested():
            raise interruption.Interrupted(0)
        time.sleep(0.05)


def wait(path: str) -> None:
    """Wait until a test says go on."""
    while not Path(path).exists():
        time.sleep(0.1)


def behave(op: Any, ctx: TaskContext) -> None:
    """Do what the file says, and leave a small output that depends on the shard alone."""
    directory = Path(sys.argv[1]).parent
    wanted = json.loads((directory / "behaviours.json").read_text())
    behaviour = wanted.get(f"{ctx.task_id}.{ctx.shard}", wanted.get(ctx.task_id, "finish"))
    attempts = directory / "ran" / f"{ctx.task_id.replace('/', '--')}.{ctx.shard}"
    attempts.parent.mkdir(exist_ok=True)
    with attempts.open("a") as file:
        file.write(f"{os.environ.get('SLURM_JOB_ID', 'here')}\n")
    word, _, argument = behaviour.partition(" ")
    if word in {"wait", "after"}:
        go, _, behaviour = argument.partition(" ")
        wait(go)
        word, _, argument = behaviour.partition(" ")
    output = f"{ctx.task_id} {ctx.shard}\n"
    if word == "refuse":
        raise UserError("47 rows have no licence", where=f"shard {ctx.shard}", fix="give them one")
    if word == "rank" and os.environ["RANK"] == argument:
        raise UserError(f"no data for rank {argument}", fix="give it some")
    if word == "rank":
        time.sleep(120)
    if word == "large":
        (ctx.scratch / "spill").write_bytes(bytes(1_000_000))
    if word == "crash":
        os._exit(7)
    if word == "need" and int(os.environ["SLURM_MEM_PER_NODE"]) < int(argument):
        raise MemoryError
    if word == "sleep" and argument == "once":
        sleep(1000 if len(attempts.read_text().split()) == 1 else 0)
    elif word == "sleep":
        sleep(float(argument))
    if word == "environment":
        output = json.dumps(dict(os.environ))
    (ctx.output("tokens") / f"{ctx.shard}.txt").write_text(output)


if __name__ == "__main__":
    operators.load = lambda op_id: behave
    sys.exit(worker.main())
