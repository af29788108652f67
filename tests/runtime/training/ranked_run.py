"""Trains jobs in groups of processes that meet over Gloo, one group after the other.

Not a test: test_ranks.py runs it in a process of its own, which imports torch once and forks before any computation.

    python ranked_run.py ARGUMENTS.json

ARGUMENTS are `tokens`, `blend` and `groups`; of each group `job` (its parallelism.data is the number of ranks), `out`,
`resume`, and what happens: `stop` [rank, step] asks one rank to stop after a step, `raise` [rank, step] makes it fail
there, `kill` [rank, step] kills it, `idle` and `broken` let rank 0 end before the training, well or not. With `holds`
each rank takes one step and says how many numbers of weights and of moments it has. Prints a JSON line per group: the
exit codes as of a worker, what the ranks said, and the seconds until all had ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import cattrs
import torch
from torch.distributed.tensor import DTensor

from compiler.errors import UserError
from compiler.trainjob import TrainJob
from runtime import interruption, launch
from runtime.training.compilation import choose_compilation
from runtime.training.data import open_batches
from runtime.training.device import choose_device
from runtime.training.guard import Verdict
from runtime.training.ranks import Ranks
from runtime.training.request import Request
from runtime.training.torch_backend import train
from runtime.training.trainer import Trainer
from tests.runtime.training.killed_run import warm_up


def held(arguments: dict[str, Any], job: TrainJob, ranks: Ranks) -> str:
    """The numbers of weights and moments that a rank has after a step, as JSON."""
    cpu = choose_device("fp32")
    batches = open_batches(job, [Path(path) for path in arguments["tokens"]], Path(arguments["blend"]))
    with ranks.group(cpu.torch):
        compilation = choose_compilation(job, cpu.torch, ranks)
        trainer = Trainer.start(job, cpu, None, ranks, compilation=compilation)
        trainer.update(batches[0], 1e-3, lambda loss, norm: Verdict())
        moments = [
            tensor for state in trainer.optimizer.state.values() for tensor in (state["exp_avg"], state["exp_avg_sq"])
        ]
        return json.dumps([sum(map(elements, part)) for part in (trainer.parameters.values(), moments)])


def elements(tensor: torch.Tensor) -> int:
    """How many of a tensor's numbers are here."""
    return (tensor.to_local() if isinstance(tensor, DTensor) else tensor).numel()


def rank(arguments: dict[str, Any], group: dict[str, Any], environment: dict[str, str]) -> str | None:
    """One rank of one group; what it has to say."""
    number, done = int(environment["RANK"]), 0
    job = cattrs.structure(group["job"], TrainJob)

    def is_due(what: str) -> bool:
        return what in group and group[what] == [number, done]

    def between_steps() -> bool:
        nonlocal done
        if is_due("raise"):
            raise UserError(f"rank {number} does not like step {done}")
        if is_due("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        asked = is_due("stop")
        done += 1
        return asked

    ranks = Ranks.meet(environment) if job.parallelism.data > 1 else Ranks.one()
    with ranks:
        if ranks.leads and group.get("broken"):
            raise UserError("rank 0 found no input")
        if ranks.leads and group.get("idle"):
            return None
        if ranks.leads:
            ranks.begin()
        elif not ranks.follow():
            return None
        if group.get("holds"):
            return held(arguments, job, ranks)
        request = Request(
            job=job,
            tokens=[Path(path) for path in arguments["tokens"]],
            blend=Path(arguments["blend"]),
            out=Path(group["out"]) if ranks.leads else Path(group["out"] + f"-rank-{number}"),
            resume=Path(group["resume"]),
            threads=1,
            ranks=ranks,
            stop=between_steps,
            held_out=Path(arguments["held_out"]) if "held_out" in arguments else None,
        )
        train(request)
    return None


def in_child(arguments: dict[str, Any], group: dict[str, Any], environment: dict[str, str], said: int) -> int:
    """Fork a rank; its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.environ.update(environment)
        words = rank(arguments, group, environment)
        os.write(said, f"{words}\n".encode() if words else b"")
        code = 0
    except interruption.Interrupted as stop:
        os.write(said, f"{stop}\n".encode())
        code = interruption.EXIT_CODE
    except UserError as error:
        os.write(said, f"{error.what}\n".encode())
        code = launch.LOST_EXIT_CODE if isinstance(error, launch.Lost) else 1
    except BaseException:  # a forked child must never fall through into the parent's code
        sys.excepthook(*sys.exc_info())
    os._exit(code)


def run(arguments: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    """All ranks of one group, to their end."""
    began, (reading, writing) = time.monotonic(), os.pipe()
    environments = launch.local_environments(group["job"]["parallelism"]["data"])
    children = [in_child(arguments, group, environment, writing) for environment in environments]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    os.close(writing)
    with os.fdopen(reading) as file:
        return {"codes": codes, "said": file.read().splitlines(), "seconds": time.monotonic() - began}


def main() -> None:
    """Run the groups in order."""
    arguments = json.loads(Path(sys.argv[1]).read_text())
    warm_up()
    for group in arguments["groups"]:
        print(json.dumps(run(arguments, group)), flush=True)


if __name__ == "__main__":
    main()
