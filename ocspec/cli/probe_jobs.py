"""Short jobs that look at a cluster's nodes for `doctor`: one for each distinct environment. What they look at is
`runtime/probe.py`, what is said of it `probe_findings.py`.

Nothing of them stays: the jobs are cancelled and their files removed, also after Ctrl-C.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from compiler.emit.sbatch import request, setup_lines, shell_command, srun_arguments
from compiler.environment import passed_environment
from compiler.errors import UserError
from compiler.plan import Resources, TaskClass
from compiler.profile import Profile, Settings
from ocspec.cli.cluster_check import advice, as_arguments, entry, one_line, sbatch, sbatch_options, unanswered
from ocspec.cli.findings import Finding
from ocspec.cli.shared_directory import Shared, shared_directory
from runtime.dispatch.slurm.client import QueueUnavailable, ask, scancel
from runtime.operators import RUNTIMES

MINUTES = 5
MEMORY_MB = 2048
LOOK_SECONDS, ASK_SECONDS = 0.2, 2.0
ENDED_SECONDS = 5.0  # a shared file system may show a job's last file later than Slurm its end
DATA: tuple[TaskClass, ...] = ("fetch", "data", "group")
ENDED = re.compile("COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL|OUT_OF_MEMORY|BOOT_FAIL|DEADLINE|PREEMPTED")


@attrs.define
class Probe:
    """A job that looks at the nodes of some task classes, and what came of it."""

    profile: str
    classes: tuple[TaskClass, ...]
    settings: Settings
    gpus: int
    directory: Path
    places: dict[str, Shared]
    token: str = attrs.field(factory=lambda: secrets.token_hex(8))
    job_id: str = ""
    refused: Finding | None = None
    answer: dict[str, Any] | None = None
    waited: str = ""
    submitted: float = 0.0
    answered: float = 0.0
    ended: float = 0.0

    @property
    def name(self) -> str:
        """The job's name, which no other job has."""
        return f"ocspec-{self.directory.name}"

    @property
    def file(self) -> Path:
        """The request that the node reads."""
        return self.directory / "request.json"

    @property
    def log(self) -> str:
        """What the job wrote, errors included."""
        with contextlib.suppress(OSError):
            return (self.directory / "log").read_text(encoding="utf-8", errors="replace")
        return ""

    @property
    def controller(self) -> str:
        """What `scontrol ping` said on the node, before any container; its last line is the exit code."""
        with contextlib.suppress(OSError):
            return (self.directory / "ping").read_text(encoding="utf-8", errors="replace")
        return ""


def environments(profile: Profile, asked: Iterable[TaskClass]) -> dict[tuple[TaskClass, ...], Settings]:
    """Task classes by what differs on a node: partition, constraint, Python, container and what is set up before."""
    groups: dict[str, list[TaskClass]] = {}
    for task_class in asked:
        settings = profile.settings(task_class)
        same = attrs.evolve(
            settings, minutes=None, cpus=None, memory_mb=None, gpus_per_node=None, max_parallel_shards=None,
            shards_per_job=None,
        )  # fmt: skip
        groups.setdefault(repr(same), []).append(task_class)
    return {tuple(classes): profile.settings(classes[0]) for classes in groups.values()}


def imports(classes: Iterable[TaskClass]) -> list[str]:
    """The modules that tasks of these classes load on a node."""
    found = ["runtime.worker"]
    modules = sorted({entry.partition(":")[0] for entry in RUNTIMES.values()})
    for task_class in classes:
        if task_class in DATA:
            found += ["duckdb", *(module for module in modules if module.startswith("runtime.data."))]
        if task_class == "train":
            found += ["torch", "runtime.training.run"]
        if task_class == "eval":
            found += ["torch", "runtime.evaluation.operators"]
    return list(dict.fromkeys(found))


@contextmanager
def probes(
    profile: Profile, asked: Mapping[TaskClass, Iterable[Resources]], store: Path, build: Path
) -> Iterator[Sequence[Probe]]:
    """Submit a probe for each environment; at the end their jobs are cancelled and their files are gone."""
    made: list[Probe] = []
    with contextlib.ExitStack() as cleaning:
        try:
            for classes, settings in environments(profile, asked).items():
                gpus = int(any(one.gpus for task_class in classes for one in asked[task_class]))
                name = f"doctor-{secrets.token_hex(4)}"
                token = secrets.token_hex(8)
                places = {
                    "store": cleaning.enter_context(shared_directory(store / name, token)),
                    "plan directory": cleaning.enter_context(shared_directory(build / name, token)),
                }
                probe = Probe(profile.name, classes, settings, gpus, build / name, places, token)
                made.append(probe)
                try:
                    _submit(probe)
                except QueueUnavailable as error:
                    _unanswered(probe, error)
                    break  # nor would the next one be answered
            yield made
        finally:
            scancel([probe.job_id for probe in made if probe.job_id and not probe.ended])


def _submit(probe: Probe) -> None:
    """Write the request and queue the job; a refusal becomes a finding. QueueUnavailable where there is no answer."""
    if error := probe.places["plan directory"].error:
        fix = "choose another directory for the plan"
        probe.refused = Finding("plan directory", "missing", f"{probe.directory.parent}: {error}", fix)
        return
    wanted = {
        "token": probe.token,
        "places": {name: str(sides.path) for name, sides in probe.places.items()},
        "imports": imports(probe.classes),
        "gpus": probe.gpus,
        "training": "train" in probe.classes,
    }
    probe.file.write_text(json.dumps(wanted), encoding="utf-8")
    options = _options(probe)
    passed: dict[str, str] = {}
    with contextlib.suppress(UserError):  # said already
        passed = passed_environment(probe.settings, os.environ)
    probe.submitted = time.time()
    done = sbatch("--parsable", *as_arguments(options), script=script(probe), environ={**os.environ, **passed})
    if done.returncode:
        said = one_line(done.stderr)
        probe.refused = Finding("probe", "missing", said, advice(said, options, entry(probe.profile, probe.classes[0])))
    else:
        probe.job_id = done.stdout.strip().partition(";")[0]


def _unanswered(probe: Probe, error: QueueUnavailable) -> None:
    """Say so, and cancel by its name what may have been queued all the same."""
    probe.refused = unanswered("probe", error)
    with contextlib.suppress(QueueUnavailable):
        ask("scancel", "--quiet", "--me", f"--name={probe.name}")


def _asked(probe: Probe) -> dict[str, Any]:
    small = attrs.evolve(probe.settings, minutes=MINUTES, cpus=1, memory_mb=MEMORY_MB)
    return request(Resources(task_class=probe.classes[0], gpus=probe.gpus), small)


def _options(probe: Probe) -> dict[str, str]:
    log = str(probe.directory / "log").replace("%", "%%")  # % begins a pattern there
    ours = {"job-name": probe.name, "output": log, "error": log}
    return {**sbatch_options(_asked(probe), probe.settings), **ours}


def script(probe: Probe) -> str:
    """The batch script of a probe: what a worker's does, and a ping of the controller from outside any container."""
    ping = shlex.quote(str(probe.directory / "ping"))
    step = ["srun", "--nodes=1", "--ntasks=1", "--cpus-per-task=1", *srun_arguments(probe.settings)]
    command = shell_command(probe.settings, ["-m", "runtime.probe", str(probe.file)], sys.executable)
    lines = [
        "#!/bin/bash",
        f'{{ scontrol ping; echo "$?"; }} > {ping} 2>&1',
        *setup_lines(1, probe.settings),
        f"{shlex.join(step)} {command}",
    ]
    return "\n".join(lines) + "\n"


def wait(queued: Iterable[Probe], seconds: float) -> None:
    """Wait until every probe has answered or ended, at most so long; what it waits for is noted in it."""
    end, next_question = time.monotonic() + seconds, 0.0
    while open_ := [probe for probe in queued if probe.job_id and not _is_settled(probe)]:
        now = time.monotonic()
        if now >= end:
            return
        if now >= next_question:
            next_question = now + ASK_SECONDS
            _ask_slurm(open_)
        time.sleep(LOOK_SECONDS)


def _is_settled(probe: Probe) -> bool:
    """Whether it has answered, or ended so long ago that it never will."""
    if probe.answer is None:
        with contextlib.suppress(OSError, ValueError):
            os.listdir(probe.directory)  # makes NFS look again
            probe.answer = json.loads(probe.file.with_suffix(".answer").read_text(encoding="utf-8"))
            probe.answered = time.time()
    return probe.answer is not None or bool(probe.ended and time.monotonic() - probe.ended > ENDED_SECONDS)


def _ask_slurm(queued: Sequence[Probe]) -> None:
    """Note state and reason of each job, and when it was seen to have ended."""
    try:
        text = ask("squeue", "--noheader", "--states=all", "--format=%A|%T|%r", "--me")
    except QueueUnavailable as error:
        for probe in queued:
            probe.waited = f"squeue: {error}"
        return
    rows = {job_id: (state, reason) for job_id, state, reason in (row.split("|", 2) for row in text.split("\n") if row)}
    for probe in queued:
        state, reason = rows.get(probe.job_id, ("ENDED", "no longer in the queue"))
        probe.waited = f"{state} ({reason})"
        if not probe.ended and (state == "ENDED" or ENDED.match(state)):
            probe.ended = time.monotonic()
