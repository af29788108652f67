"""datatrove's Slurm executor: GRAPH.json OUT; one executor per task, launched parents first. It does not watch.

`depends` takes one executor, so a task with several parents gets their ids through `depends_job_id`, which goes into
the dependency as it is. Jobs are held, so that nothing runs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from datatrove.executor import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from benchmarks.peers.marks import mark


class Nothing(PipelineStep):
    """What each shard would do."""

    name = "nothing"

    def run(self, data, rank: int = 0, world_size: int = 1):
        """Pass on what comes."""
        yield from data or ()


def main() -> None:
    """Launch all tasks."""
    graph, out = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    launched: dict[str, SlurmPipelineExecutor] = {}
    for task in graph:
        parents = [launched[parent] for parent in task["after"]]
        one = parents[0] if len(parents) == 1 else None
        executor = SlurmPipelineExecutor(
            pipeline=[Nothing()],
            tasks=task["shards"],
            time="01:00:00",
            partition="main",
            mem_per_cpu_gb=1,
            gpus_per_task=task["gpus"],
            job_name=task["id"],
            logging_dir=str(out / task["id"]),
            depends=one,
            depends_job_id=":".join(str(parent.job_id) for parent in parents) if len(parents) > 1 else None,
            sbatch_args={"hold": ""},
        )
        executor.run()
        launched[task["id"]] = executor
    mark("submit")


if __name__ == "__main__":
    main()
