"""What a run used, by real accounting: an array, a job queued again, one that never ran, a stranger's."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import attrs
import pytest

from compiler import ir
from compiler.plan import Plan, Resources, Task
from runtime.accounting import Attempt, attempts
from runtime.dispatch.slurm.labels import Label, read, slug
from runtime.journal import Journal
from runtime.store import Store
from runtime.usage import RunUsage, TaskUsage, run_usage

pytestmark = pytest.mark.slurm

BUSY = 'end=$(($(date +%s) + 3)); while [ "$(date +%s)" -lt $end ]; do :; done'
AGAIN = f'[ "${{SLURM_RESTART_COUNT:-0}}" -gt 0 ] && exit 0; {BUSY}; scontrol requeue $SLURM_JOB_ID; sleep 60'


def sbatch(task: str, run: str, script: str, *options: str) -> str:
    """Submit under a label of our own; the job's id."""
    name = Label(run, slug(task), "5c7923bd").text
    command = ["sbatch", "--parsable", "--output=/dev/null", f"--job-name={name}", *options, f"--wrap={script}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def ended(job_ids: list[str], rows: int, seconds: float = 300) -> list[Attempt]:
    """What sacct has of jobs once it has so many attempts of them, and their names, and none that waits or runs."""
    stop = time.monotonic() + seconds
    while True:
        found = attempts(job_ids)
        if len(found) == rows and all(one.end is not None and read(one.name) for one in found):
            return found
        assert time.monotonic() < stop, found
        time.sleep(0.5)


def task(name: str, **asked: int) -> Task:
    return Task(id=name, op=ir.Encode(dataset="d"), resources=Resources(seconds=10, **asked))


@attrs.frozen
class Made:
    """What a run used; the CPU time of `code/sign` by its own account, and how long all of it took, in seconds."""

    usage: RunUsage
    cpu_seconds: float
    seconds: float


@pytest.fixture(scope="module")
def made(accounting_cluster, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Four tasks of one run; `code/stranger` has the id of another run's job."""
    times, began = tmp_path_factory.mktemp("times") / "times", time.monotonic()
    sign = f"{BUSY}; times >>{times}"
    jobs = {
        "code/sign": sbatch("code/sign", "run7", sign, "--array=0-1", "--cpus-per-task=2", "--mem=100"),
        "pretrain/train": sbatch("pretrain/train", "run7", AGAIN, "--gpus-per-node=1", "--requeue", "--mem=100"),
        "code/late": sbatch("code/late", "run7", "true", "--begin=now+1hour"),
        "code/stranger": sbatch("code/stranger", "run8", "true"),
    }
    subprocess.run(["scancel", jobs["code/late"]], check=True, timeout=30)
    ended(list(jobs.values()), rows=2 + 2 + 1 + 1)
    seconds = time.monotonic() - began
    journal = Journal(tmp_path_factory.mktemp("journal"))
    for name, job in jobs.items():
        journal.write("submitted", submission="5c7923bd", task=name, job=job)
    tasks = (task("code/sign", cpus=2), task("pretrain/train", gpus=1), task("code/late"), task("code/stranger"))
    plan = Plan(experiment="e", spec={}, tasks=tasks, parameters=0, parameters_without_embeddings=0, stages=())

    def carries(name: str, job_name: str) -> bool:
        label = read(job_name)
        return label is not None and (label.run, label.task) == ("run7", slug(name))

    usage = run_usage(plan, journal.read(), Store(Path(journal.directory)), carries)
    spent = [60 * int(minutes) + float(rest) for minutes, rest in re.findall(r"(\d+)m([\d.]+)s", times.read_text())]
    return Made(usage, sum(spent), seconds)


@pytest.fixture
def usage(made: Made) -> RunUsage:
    return made.usage


def of(usage: RunUsage, name: str) -> TaskUsage:
    (found,) = (one for one in usage.tasks if one.task == name)
    return found


def test_only_jobs_of_the_run_that_started_count(usage: RunUsage) -> None:
    assert [one.task for one in usage.tasks] == ["code/sign", "pretrain/train"]
    assert usage.trouble == ""


def test_an_array_is_counted_by_its_elements(made: Made) -> None:
    """However busy the machine is: of two processors each element asks for one at most."""
    sign = of(made.usage, "code/sign")
    assert (sign.source, sign.jobs, sign.repeats) == ("sacct", 2, 0)
    assert 2 * 2 * 2 <= sign.cpu_hours * 3600 <= 2 * 2 * made.seconds
    assert sign.wall <= made.seconds + 1
    assert sign.cpu_efficiency <= 0.7
    assert sign.cpu_efficiency * sign.cpu_hours * 3600 == pytest.approx(made.cpu_seconds, rel=0.1, abs=0.5)
    assert sign.gpu_hours == 0


def test_an_attempt_that_was_queued_again_counts(usage: RunUsage) -> None:
    train = of(usage, "pretrain/train")
    assert (train.jobs, train.repeats) == (1, 1)
    assert train.gpu_hours * 3600 >= 2
    assert train.planned_gpu_hours * 3600 == pytest.approx(10)
    assert train.wall * 1.0 >= train.gpu_hours * 3600
