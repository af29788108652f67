"""Trains a job in processes that die by SIGKILL at chosen points, each time going on, then once to the end.

Not a test: test_resume.py runs it in a process of its own, which imports torch once and forks before any
computation.

    python killed_run.py ARGUMENTS.json OUT RESUME POINT...

A point is `step:N` (killed in the callback after step N), `fsync:N` (before the N-th fsync of the attempt, so
in the middle of writing a state), `rename:N` (before the N-th rename), `output:N` (before the N-th copy into
the output), or `after:N` (killed from outside as soon as N lines of metrics are there; after one step more it waits
for that). Each kill prints a line: what lies in RESUME.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import cattrs
import torch

from compiler.trainjob import TrainJob
from runtime.training.request import Request
from runtime.training.torch_backend import train
from tests.runtime.children import PATIENCE_S


def die() -> None:
    """kill -9, from inside."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying(function: Any, after: int) -> Any:
    """The function, which dies instead of its `after`-th call."""
    calls = 0

    def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == after:
            die()
        return function(*arguments, **named)

    return wrapped


def attempt(arguments: dict[str, Any], out: Path, resume: Path, point: str) -> None:
    """One attempt at the job, in this process, that dies at `point`."""
    kind, _, number = point.partition(":")
    stop = int(number or 0)

    def progress(done: int, total: int, unit: str) -> None:
        if kind == "step" and done == stop:
            die()
        if kind == "after" and done > stop:
            time.sleep(PATIENCE_S)  # so that the parent finds the run alive, and no later state

    if kind == "fsync":
        os.fsync = dying(os.fsync, stop)
    if kind == "rename":
        Path.rename = dying(Path.rename, stop)  # type: ignore[method-assign]
    if kind == "output":
        shutil.copyfile = dying(shutil.copyfile, stop)
    request = Request(
        job=cattrs.structure(arguments["job"], TrainJob),
        tokens=[Path(path) for path in arguments["tokens"]],
        blend=Path(arguments["blend"]),
        out=out,
        resume=resume,
        threads=1,
        progress=progress,
        held_out=Path(arguments["held_out"]) if "held_out" in arguments else None,
    )
    train(request)


def in_child(arguments: dict[str, Any], out: Path, resume: Path, point: str) -> int:
    """Run an attempt in a forked process; its wait status."""
    child = os.fork()
    if child == 0:
        try:
            attempt(arguments, out, resume, point)
        except BaseException:  # a forked child must never fall through into the parent's code
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    if point.startswith("after:"):
        wanted, metrics = int(point.removeprefix("after:")), resume / "metrics.jsonl"
        deadline = time.monotonic() + PATIENCE_S
        while not (metrics.exists() and metrics.read_bytes().count(b"\n") >= wanted):
            assert time.monotonic() < deadline, f"no {wanted} lines of metrics"
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def warm_up() -> None:
    """Let torch load what it loads at the first optimizer step once, not in each child; starts no threads."""
    torch.set_num_threads(1)
    parameter = torch.zeros(1, requires_grad=True)
    parameter.grad = torch.zeros(1)
    torch.optim.AdamW([parameter], fused=True).step()


def main() -> None:
    """Every point dies by SIGKILL; the last attempt ends well."""
    arguments = json.loads(Path(sys.argv[1]).read_text())
    out, resume = Path(sys.argv[2]), Path(sys.argv[3])
    warm_up()
    for point in sys.argv[4:]:
        status = in_child(arguments, out, resume, point)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"{point}: status {status}"
        print(*sorted(path.name for path in resume.iterdir()))
    assert in_child(arguments, out, resume, "") == 0


if __name__ == "__main__":
    main()
