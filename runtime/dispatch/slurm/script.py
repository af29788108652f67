"""What one sbatch is given: the parameters for submitit, and the command that a node runs.

submitit writes the batch script from them. Its pickles are not used: the node reads a submission that was written
before sbatch (`ledger`), so that a job works whatever became of the process that submitted it.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import attrs

from compiler.emit.sbatch import is_distributed, request, setup_lines, shell_command, srun_arguments
from compiler.plan import Resources
from compiler.profile import Settings
from runtime.dispatch.slurm.labels import Label
from runtime.dispatch.slurm.ledger import STARTED_VARIABLE
from runtime.interruption import EXIT_CODE as AGAIN


@attrs.frozen(kw_only=True)
class Request:
    """One sbatch: what it asks for, the file that the node reads, and what it waits for.

    `elements` is the size of the array, 0 for a job that is none. `dependency` is in sbatch's words.
    """

    label: Label
    asked: Resources
    settings: Settings
    argv: tuple[str, ...]
    logs: Path
    elements: int = 0
    dependency: str = ""
    markers: Path | None = None

    @property
    def minutes(self) -> int:
        """The time limit."""
        return self.settings.minutes or 60

    @property
    def memory_mb(self) -> int:
        """What one node of the job asks for."""
        return int(str(request(self.asked, self.settings)["mem"]).removesuffix("M"))

    @property
    def signal_s(self) -> int:
        """How long before the time limit a job is told: long enough to save a checkpoint, short beside the limit."""
        return min(300 if self.asked.task_class == "train" else 90, 15 * self.minutes)


def parameters(asked: Request) -> dict[str, Any]:
    """The parameters for submitit."""
    options = request(asked.asked, asked.settings)
    cpus = options["cpus_per_task"]
    distributed = is_distributed(asked.asked)
    nodes = [] if distributed else ["--nodes=1", "--ntasks=1"]
    chosen: dict[str, Any] = {
        **options,
        "time": asked.minutes,
        "job_name": asked.label.text,
        "comment": asked.label.text,
        "setup": [f"export {STARTED_VARIABLE}=$(date +%s)", *setup_lines(cpus, asked.settings)],
        "teardown": teardown(asked.markers) if asked.markers else [],
        "array_parallelism": asked.settings.max_parallel_shards or max(1, asked.elements),
        "signal_delay_s": asked.signal_s,
        "stderr_to_stdout": True,
        # Since Slurm 22.05 a step does not take over the job's --cpus-per-task: it would be bound to one processor.
        # A rank that fails ends its job; the others would wait for it until the time limit.
        "srun_args": [
            *nodes,
            f"--cpus-per-task={cpus}",
            "--export=ALL",  # also what the set-up lines exported, whatever the site's default is
            *(["--kill-on-bad-exit=1"] if distributed else []),
            *srun_arguments(asked.settings),
        ],
        "additional_parameters": {**_site_options(asked.settings), "kill-on-invalid-dep": "yes", "requeue": True},
    }
    return {**chosen, "dependency": asked.dependency} if asked.dependency else chosen


def command(asked: Request) -> str:
    """The line that starts the node's entry point, behind srun."""
    return shell_command(asked.settings, asked.argv, sys.executable)


def teardown(markers: Path) -> list[str]:
    """Lines after the step: queue this job again where the node's entry left a marker that asks for it.

    The batch script does it, and not the entry: it runs outside of any container, and a job that was cancelled
    meanwhile is left alone.
    """
    return [
        "code=$?",
        f'marker={shlex.quote(str(markers))}/"${{SLURM_ARRAY_TASK_ID:-0}}.${{SLURM_RESTART_COUNT:-0}}"',
        # One element of an array has the id of the whole array as its own: that would queue all of it again.
        'job="${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}"',
        'job="${job:-$SLURM_JOB_ID}"',
        # srun returns the largest code of all ranks: another one than this came first, and ended them.
        f'if [ "$code" = {AGAIN} ] && [ -e "$marker" ] && scontrol show job "$job" | grep -q JobState=RUNNING; then',
        '    scontrol requeue "$job" && sleep 300',
        "fi",
        'exit "$code"',
    ]


def _site_options(settings: Settings) -> dict[str, str | bool]:
    """The profile's own sbatch options; an empty value makes a flag."""
    return {name: value or True for name, value in settings.sbatch.items()}
