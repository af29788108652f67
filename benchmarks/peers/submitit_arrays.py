"""submitit as its documentation has it: GRAPH.json OUT SECONDS; a map_array per task, then its own monitor_jobs.

An array waits for its parents by the parameter `slurm_dependency`; jobs are held, so that nothing runs.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import types
from pathlib import Path

import submitit
from submitit.helpers import monitor_jobs

from benchmarks.peers.marks import mark


class Over(Exception):
    """The time to watch is over."""


def over(number: int, frame: types.FrameType | None) -> None:
    """The handler of the alarm."""
    raise Over


def nothing(shard: int) -> int:
    """What each shard would do."""
    return shard


def submit(graph: list[dict], out: Path) -> list[submitit.Job]:
    """Queue all tasks, parents first."""
    arrays: dict[str, str] = {}
    jobs = []
    for task in graph:
        executor = submitit.AutoExecutor(folder=out / task["id"], cluster="slurm")
        executor.update_parameters(
            name=task["id"],
            timeout_min=60,
            cpus_per_task=1,
            mem_gb=1,
            gpus_per_node=task["gpus"],
            slurm_array_parallelism=task["shards"],
            slurm_additional_parameters={"hold": True},
        )
        if task["after"]:
            waits = "afterok:" + ":".join(arrays[parent] for parent in task["after"])
            executor.update_parameters(slurm_dependency=waits)
        mine = executor.map_array(nothing, range(task["shards"]))
        arrays[task["id"]] = mine[0].job_id.partition("_")[0]
        jobs += mine
    return jobs


def main() -> None:
    """Submit, then watch for so long."""
    graph, out, seconds = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), int(sys.argv[3])
    jobs = submit(graph, out)
    mark("submit")
    signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    with contextlib.suppress(Over):
        monitor_jobs(jobs)
    mark("watch")


if __name__ == "__main__":
    main()
