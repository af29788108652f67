"""The SLURM dispatcher on a real cluster: what it queues, what it reports, and that cancelling ends it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from compiler.errors import UserError
from compiler.profile import ClassLimits, Profile
from runtime.dispatch.base import Event, Job
from runtime.dispatch.slurm import SlurmDispatcher
from runtime.dispatch.slurm_queue import Pace
from tests.slurm.entry import result_file, run_shard

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm_cluster")]

FAST = Pace(first_s=0.1, longest_s=0.3)


@attrs.define
class Run:
    """A dispatcher over a fresh store, and what it told."""

    directory: Path
    behaviours: dict[str, str]
    profile: Profile = attrs.field(factory=lambda: Profile(name="test", minutes=5))
    patience_s: float = 1.0
    submitted: list[tuple[str, int, str]] = attrs.field(factory=list)
    dispatcher: SlurmDispatcher = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.store.mkdir(exist_ok=True)
        plan = self.directory / "plan.json"
        plan.write_text(json.dumps(self.behaviours))
        self.dispatcher = SlurmDispatcher(
            plan,
            self.store,
            self.directory,
            self.profile,
            is_done=lambda task, shard: result_file(self.store, task, shard).exists(),
            on_submitted=lambda *record: self.submitted.append(record),
            entry=run_shard,
            pace=FAST,
            patience_s=self.patience_s,
            retry_after_s=(0.1,),
        )

    @property
    def store(self) -> Path:
        return self.directory / "store"

    def follow(self, until: Callable[[list[Event]], bool], seconds: float = 40) -> list[Event]:
        """Poll until the events so far satisfy a condition."""
        events: list[Event] = []
        end = time.monotonic() + seconds
        while not until(events):
            assert time.monotonic() < end, events
            events += self.dispatcher.poll()
        return events

    def finish(self, *jobs: Job) -> dict[tuple[str, int], Event]:
        """Submit, wait until every shard has ended, and return the last event of each."""
        self.dispatcher.submit(jobs)
        wanted = {(job.task_id, shard) for job in jobs for shard in job.shards}
        return last(self.follow(lambda events: {key for key, event in last(events).items() if ended(event)} >= wanted))

    def result(self, task: str, shard: int = 0) -> dict:
        return json.loads(result_file(self.store, task, shard).read_text())


@pytest.fixture
def run(tmp_path) -> Iterator[Callable[..., Run]]:
    """Makes a run, with behaviours of its tasks by name; its jobs do not outlive the test."""
    runs: list[Run] = []

    def make(behaviours: dict[str, str] | None = None, **options) -> Run:
        runs.append(Run(tmp_path, behaviours or {}, **options))
        return runs[-1]

    yield make
    for made in runs:
        made.dispatcher.cancel()


def last(events: list[Event]) -> dict[tuple[str, int], Event]:
    return {(event.task_id, event.shard): event for event in events}


def ended(event: Event) -> bool:
    return event.state in {"done", "failed", "cancelled"}


def states(events: dict[tuple[str, int], Event]) -> dict[tuple[str, int], str]:
    return {key: event.state for key, event in events.items()}


def queue() -> list[str]:
    shown = subprocess.run(["squeue", "--noheader", "--format=%j"], capture_output=True, text=True, check=True)
    return shown.stdout.split()


def shim(monkeypatch, directory: Path, program: str, body: str) -> None:
    """Put a shell script before a program on PATH; `$REAL` in it is the program."""
    directory.mkdir(exist_ok=True)
    script = directory / program
    script.write_text(f"#!/bin/sh\nREAL={shutil.which(program)}\n{body}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)


def test_shards_are_arrays_and_children_wait_for_all_of_them(run):
    """Nine shards are three arrays where four fit into one; the child starts after the last of them."""
    run = run()
    wide = Job(task_id="sign", shards=tuple(range(9)))
    events = run.finish(wide, Job(task_id="group", shards=(0,), depends_on=("sign",)))
    assert set(states(events).values()) == {"done"}
    arrays = [job_id.partition("_")[0] for task, _, job_id in run.submitted if task == "sign"]
    assert [arrays.count(array) for array in dict.fromkeys(arrays)] == [4, 4, 1]
    finished = [run.result("sign", shard)["time"] for shard in range(9)]
    assert run.result("group")["time"] > max(finished)
    assert [record[:2] for record in run.submitted] == [
        *(("sign", shard) for shard in range(9)),
        ("group", 0),
    ]


def test_only_the_missing_shards_run(run):
    """Shards keep their numbers: an array's index is not the shard."""
    run = run()
    assert states(run.finish(Job(task_id="t", shards=(3, 17)))) == {("t", 3): "done", ("t", 17): "done"}
    assert sorted(path.name.split(".")[1] for path in run.store.glob("*.json")) == ["17", "3"]


def test_each_state_is_told_once(run):
    """Queued, running, done: no state twice in a row, and no word after the end."""
    run = run({"t": "sleep"})
    run.dispatcher.submit([Job(task_id="t", shards=(0,))])
    told = run.follow(lambda events: any(event.state == "running" for event in events))
    assert run.dispatcher.poll() == []
    run.dispatcher.cancel()
    told += run.follow(lambda events: any(ended(event) for event in events))
    assert [event.state for event in told] in (["queued", "running", "cancelled"], ["running", "cancelled"])
    assert run.dispatcher.poll() == []


def test_a_job_gets_what_it_asks_for(run):
    """Processors, also inside the step, memory, devices; a class's limits go before the plan's figures."""
    limits = {"train": ClassLimits(cpus=4, memory_mb=600)}
    run = run(profile=Profile(minutes=3, classes=limits, setup=("export FROM_SETUP='a b'",), sbatch={"nice": "3"}))
    plain = Job(task_id="plain", shards=(0,), cpus=3, memory_mb=512)
    train = Job(task_id="train", shards=(0,), cpus=2, memory_mb=9, gpus=2, task_class="train")
    run.finish(plain, train)
    seen = {task: run.result(task)["environment"] for task in ("plain", "train")}
    assert [seen[task]["OMP_NUM_THREADS"] for task in ("plain", "train")] == ["3", "4"]
    names = ("SLURM_CPUS_PER_TASK", "SLURM_MEM_PER_NODE", "CUDA_VISIBLE_DEVICES", "FROM_SETUP")
    assert [seen["plain"].get(name) for name in names] == ["3", "512", None, "a b"]
    assert [seen["train"].get(name) for name in names] == ["4", "600", "0,1", "a b"]


def test_a_job_on_several_nodes_runs_its_worker_once(run):
    """The worker is one process; the ranks on the other nodes are its own business."""
    run = run()
    run.finish(Job(task_id="t", shards=(0,), nodes=2))
    assert run.result("t")["environment"]["SLURM_JOB_NODELIST"] == "n[1-2]"
    assert len(result_file(run.store, "t", 0).with_suffix(".attempts").read_text().split()) == 1


def test_a_failing_parent_cancels_all_below_it(run):
    """The failure says what the worker said; what is below is cancelled, two levels deep; nothing waits."""
    run = run({"a": "refuse"})
    chain = [
        Job(task_id=task, shards=(0, 1), depends_on=parents)
        for task, parents in (("a", ()), ("b", ("a",)), ("c", ("b",)))
    ]
    events = run.finish(*chain, Job(task_id="aside", shards=(0,)))
    assert [events[task, 1].state for task in "abc"] == ["failed", "cancelled", "cancelled"]
    assert events["aside", 0].state == "done"
    detail = events["a", 1].detail
    assert "exit code 1" in detail
    assert "shard 1: 47 rows have no licence\n  fix: give them one" in detail
    assert "Traceback" not in detail
    assert "depends on" in events["b", 0].detail
    log = Path(detail.rpartition("log: ")[2])
    assert "Traceback" in log.read_text()
    assert queue() == []


def test_a_worker_that_dies_is_failed_with_its_exit_code(run):
    """No exception, no result, no accounting: the exit code is in the detail all the same."""
    events = run({"t": "crash"}).finish(Job(task_id="t", shards=(0,)))
    assert events["t", 0].state == "failed"
    assert "exit code 7" in events["t", 0].detail


def test_success_without_a_result_is_a_failure(run):
    """Slurm's COMPLETED proves nothing: the store decides, after some patience."""
    events = run({"t": "forget"}).finish(Job(task_id="t", shards=(0,)))
    assert events["t", 0].state == "failed"
    assert "left no result: COMPLETED" in events["t", 0].detail


def test_jobs_cancelled_by_hand_are_cancelled(run):
    """One element of an array ended by scancel is that shard; with the other, the child is cancelled too."""
    run = run({"t": "sleep"})
    run.dispatcher.submit([Job(task_id="t", shards=(0, 1)), Job(task_id="u", shards=(0,), depends_on=("t",))])
    run.follow(lambda events: sum(event.state == "running" for event in events) == 2)
    subprocess.run(["scancel", run.submitted[1][2]], check=True)
    assert states(last(run.follow(bool))) == {("t", 1): "cancelled"}
    subprocess.run(["scancel", run.submitted[0][2]], check=True)
    events = last(run.follow(lambda events: len(events) == 2))
    assert states(events) == {("t", 0): "cancelled", ("u", 0): "cancelled"}


def test_cancel_leaves_nothing_in_the_queue(run):
    """Running and waiting jobs go, and one whose id nobody recorded; another run's job stays."""
    run = run({"t": "sleep"})
    other = subprocess.run(
        ["sbatch", "--parsable", "--hold", "--job-name=other", "--wrap=true"],
        capture_output=True,
        text=True,
        check=True,
    )
    run.dispatcher.submit(
        [Job(task_id="t", shards=tuple(range(6)), cpus=4), Job(task_id="u", shards=(0,), depends_on=("t",))]
    )
    lost = run.dispatcher.label("t").name  # as if the process had died right after sbatch
    subprocess.run(["sbatch", "--hold", f"--job-name={lost}", "--wrap=true"], capture_output=True, check=True)
    run.follow(lambda events: any(event.state == "running" for event in events))
    run.dispatcher.cancel()
    assert queue() == ["other"]
    events = last(run.follow(lambda events: sum(map(ended, events)) == 7))
    assert set(states(events).values()) == {"cancelled"}
    subprocess.run(["scancel", other.stdout.strip()], check=True)


def test_a_waiting_element_cancelled_by_hand_is_cancelled(run):
    """Slurm forgets an array's element that never started; it is told from one that ran and was lost."""
    run = run(profile=Profile(minutes=5, sbatch={"hold": ""}))
    run.dispatcher.submit([Job(task_id="t", shards=(0, 1))])
    run.follow(lambda events: len(events) == 2)
    subprocess.run(["scancel", run.submitted[1][2]], check=True)
    (event,) = run.follow(bool)
    assert (event.shard, event.state) == (1, "cancelled")


def test_one_look_at_the_queue_per_poll(run, monkeypatch, tmp_path):
    """However many jobs there are, a poll is one squeue and nothing else."""
    calls = tmp_path / "calls"
    for program in ("squeue", "sacct", "scontrol"):
        if shutil.which(program):
            shim(monkeypatch, tmp_path / "bin", program, f'echo {program} >>{calls}\nexec "$REAL" "$@"')
    run = run({f"t{number}": "sleep" for number in range(5)})
    run.dispatcher.submit([Job(task_id=f"t{number}", shards=(0, 1)) for number in range(5)])
    calls.write_text("")
    for _ in range(3):
        run.dispatcher.poll()
    assert calls.read_text().split() == ["squeue"] * 3


HOSTILE = [
    "data/clean",
    "a b; touch /tmp/owned",
    "$(id)`id`",
    "../../etc",
    "-rf",
    "ü\n#SBATCH --hold",
    "x" * 300,
    "%j %A",
    "'\"\\",
]


def test_hostile_task_names_are_only_names(run):
    """Spaces, quotes, line breaks, patterns, length: jobs run, logs stay inside, names are plain."""
    run = run()
    events = run.finish(*[Job(task_id=task, shards=(0,)) for task in HOSTILE])
    assert set(states(events).values()) == {"done"}
    folders = [run.dispatcher.logs(task) for task in HOSTILE]
    assert len(set(folders)) == len(HOSTILE)
    assert {folder.parent for folder in folders} == {run.directory / "logs" / "slurm"}
    assert all(
        (folder / f"{job_id}_0_log.out").exists() for folder, (_, _, job_id) in zip(folders, run.submitted, strict=True)
    )
    assert all(len(run.dispatcher.label(task).name) <= 100 for task in HOSTILE)


def test_a_refusal_says_what_sbatch_said_and_takes_back_the_rest(run):
    """A partition that does not exist: one message, no traceback, and the jobs before it are cancelled."""
    run = run(profile=Profile(name="typo", classes={"train": ClassLimits(partition="gpuu")}))
    waiting = Job(task_id="t", shards=(0, 1))
    with pytest.raises(UserError, match="invalid partition specified: gpuu") as caught:
        run.dispatcher.submit([waiting, Job(task_id="model", shards=(0,), task_class="train")])
    assert caught.value.where == "profile 'typo'"
    assert "'model'" in caught.value.what
    end = time.monotonic() + 10
    while queue():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_what_could_never_run_is_found_before_anything_is_queued(run):
    """More nodes than there are is accepted by sbatch, and would wait for ever."""
    run = run()
    fine, too_wide = Job(task_id="t", shards=(0, 1)), Job(task_id="wide", shards=(0,), nodes=3)
    assert run.dispatcher.check([fine]) == []
    (problem,) = run.dispatcher.check([fine, too_wide, attrs.evolve(too_wide, task_id="twin")])
    assert "3 nodes" in problem.what
    assert queue() == []


def test_jobs_that_slurm_does_not_know_are_failed_after_a_while(run):
    """A lost id, and an id that Slurm gave to a job of something else; one that left a result is done."""
    run = run()
    foreign = subprocess.run(
        ["sbatch", "--parsable", "--hold", "--wrap=true"], capture_output=True, text=True, check=True
    ).stdout.strip()
    result_file(run.store, "finished", 0).write_text("{}")
    for task, job_id in (("lost", "99999999"), ("foreign", foreign), ("finished", "99999998")):
        run.dispatcher.adopt(task, 0, job_id)
    began = time.monotonic()
    events = last(run.follow(lambda events: len(events) == 3))
    assert states(events) == {("lost", 0): "failed", ("foreign", 0): "failed", ("finished", 0): "done"}
    assert "vanished" in events["foreign", 0].detail
    assert time.monotonic() - began > run.patience_s
    subprocess.run(["scancel", foreign], check=True)


def test_another_process_takes_over(run):
    """A new dispatcher of the same run follows recorded jobs; new children wait for those still queued."""
    first = run({"t": "sleep once"})
    first.dispatcher.submit([Job(task_id="t", shards=(0,))])
    first.follow(lambda events: any(event.state == "running" for event in events))
    second = Run(first.directory, {"u": "finish"})
    for record in first.submitted:
        second.dispatcher.adopt(*record)
    second.dispatcher.submit([Job(task_id="u", shards=(0,), depends_on=("t",))])
    subprocess.run(["scontrol", "requeue", first.submitted[0][2]], check=True)
    events = second.follow(lambda events: sum(map(ended, events)) == 2)
    assert states(last(events)) == {("t", 0): "done", ("u", 0): "done"}
    assert [event.state for event in events if event.task_id == "t"].count("queued") == 1
    assert second.result("u")["time"] > second.result("t")["time"]


def test_training_that_runs_out_of_time_is_queued_again(run):
    """The signal that Slurm sends before the limit: the same job runs once more instead of failing."""
    run = run({"t": "sleep once"})
    run.dispatcher.submit([Job(task_id="t", shards=(0,), task_class="train")])
    attempts = result_file(run.store, "t", 0).with_suffix(".attempts")
    run.follow(lambda _: attempts.exists())
    subprocess.run(["scancel", "--signal=USR2", run.submitted[0][2]], check=True)
    events = run.follow(lambda events: any(map(ended, events)))
    assert events[-1].state == "done"
    assert len(attempts.read_text().split()) == 2


def test_an_answer_that_got_lost_does_not_make_a_job_twice(run, monkeypatch, tmp_path):
    """sbatch queues the job but its answer times out: that job is cancelled and one other is submitted."""
    once = f'[ -e {tmp_path}/tried ] && exec "$REAL" "$@"\ntouch {tmp_path}/tried\n"$REAL" --hold "$@" >&2'
    said = "echo 'sbatch: error: Socket timed out on send/recv operation' >&2\nexit 1"
    shim(monkeypatch, tmp_path / "bin", "sbatch", f"{once}\n{said}")
    run = run()
    assert states(run.finish(Job(task_id="t", shards=(0,)))) == {("t", 0): "done"}
    assert len(run.submitted) == 1
    assert queue() == []


def test_a_controller_that_does_not_answer_is_waited_for(run, monkeypatch, caplog, tmp_path):
    """While it is away no job counts as lost, and it is said once; submitting fails after its retries."""
    run = run({"t": "sleep"}, patience_s=0.0)
    run.dispatcher.submit([Job(task_id="t", shards=(0,))])
    away = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2\nexit 1"
    with monkeypatch.context() as patch:
        for program in ("squeue", "sbatch"):
            shim(patch, tmp_path / "bin", program, away)
        assert [run.dispatcher.poll() for _ in range(3)] == [[], [], []]
        assert len(caplog.records) == 1
        with pytest.raises(UserError, match="Unable to contact"):
            run.dispatcher.submit([Job(task_id="u", shards=(0,))])
        with pytest.raises(UserError, match="Unable to contact"):
            run.dispatcher.cancel()
    assert run.follow(bool)[0].state in {"queued", "running"}
    assert "again" in caplog.records[-1].message
