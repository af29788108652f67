"""Submitting to a real cluster: what is queued, what is tried again, and that nothing is lost or done twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from compiler.errors import UserError
from compiler.plan import Plan
from compiler.profile import Profile, Retry, Settings
from runtime.dispatch.slurm import ledger, queue
from runtime.dispatch.slurm.choice import Part
from runtime.dispatch.slurm.client import Unanswered
from runtime.dispatch.slurm.labels import logs_of, supervisor_logs
from runtime.dispatch.slurm.ledger import Submission
from runtime.dispatch.slurm.run import SlurmRun
from runtime.dispatch.slurm.states import ShardState
from tests.slurm.graph import MINUTES, attempts, attempts_file, behave, make_plan, make_run, step

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm_cluster")]

ALONE = Profile(name="test", dispatch="slurm", minutes=MINUTES, supervise=False)
LONG = "sleep 1000"  # longer than any test: it is cancelled, or killed
PATIENCE_S = 300.0  # of a machine that does other things as well; what comes sooner is seen sooner
States = dict[tuple[str, int], ShardState]
Make = Callable[..., SlurmRun]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes runs in directories below one; their jobs do not outlive the test."""
    runs: list[SlurmRun] = []

    def make(plan: Plan, behaviours: Mapping[str, str] | None = None, *, name: str = "run", **options) -> SlurmRun:
        runs.append(make_run(tmp_path / name, plan, behaviours, **{"profile": ALONE, **options}))
        return runs[-1]

    yield make
    for run in runs:
        run.cancel()


def look(run: SlurmRun) -> States:
    return {(state.task_id, state.shard): state for state in run.look()[0]}


def follow(run: SlurmRun, until: Callable[[States], bool]) -> States:
    """Look until a condition holds of the states, one that holds from then on: a look takes long, and may miss it."""
    end = time.monotonic() + PATIENCE_S
    while not until(states := look(run)):
        assert time.monotonic() < end, states
        time.sleep(0.2)
    return states


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    """Wait for a file, or an event in the journal."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"no {what}"
        time.sleep(0.02)


def begun(run: SlurmRun, task: str, *shards: int, times: int = 1) -> None:
    """Wait until shards do their work: a job that Slurm calls running has no process yet, or one that still loads."""
    wait_for(f"work on {task}", lambda: all(ran(run)[task, shard] >= times for shard in shards or (0,)))


def end(run: SlurmRun) -> States:
    """The states when nothing of the run is in the queue any more, its supervisors neither."""
    limit = time.monotonic() + PATIENCE_S
    while live := queue.look(run.tag, {}).live:
        assert time.monotonic() < limit, live
        time.sleep(0.3)
    return look(run)


def finished(states: States) -> bool:
    return all(state.state == "finished" for state in states.values())


def running(*keys: tuple[str, int]) -> Callable[[States], bool]:
    return lambda states: all(states[key].state == "running" for key in keys)


def told(states: States) -> dict[tuple[str, int], str]:
    """Causes where there are some, else states."""
    return {key: state.cause or state.state for key, state in states.items()}


def ran(run: SlurmRun) -> dict[tuple[str, int], int]:
    """How often each shard did its work."""
    shards = [(task.id, shard) for task in run.plan.tasks for shard in range(task.shards)]
    return {(task, shard): len(attempts(run.run_dir, task, shard)) for task, shard in shards}


def events(run: SlurmRun, kind: str) -> list[dict]:
    return [event for event in run.ledger.journal.read() if event["event"] == kind]


def say(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def names(*runs: SlurmRun) -> list[str]:
    """The names of the jobs of these runs in the queue: one of an earlier test may be just about to leave it."""
    return [name for name in say("squeue", "--noheader", "--format=%j").split() if any(run.tag in name for run in runs)]


@contextmanager
def nothing_starts() -> Iterator[None]:
    """What runs goes on and what waits stays where it is, so that it can be looked at."""
    command = ["scontrol", "update", "PartitionName=main"]
    subprocess.run([*command, "State=DOWN"], check=True)
    try:
        yield
    finally:
        subprocess.run([*command, "State=UP"], check=True)


def shim(monkeypatch: pytest.MonkeyPatch, directory: Path, program: str, body: str) -> None:
    """Put a shell script before a program on PATH; `$REAL` in it is the program."""
    directory.mkdir(exist_ok=True)
    script = directory / program
    script.write_text(f"#!/bin/sh\nREAL={shutil.which(program)}\n{body}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)


def one_element(run: SlurmRun, task: str, shard: int = 0) -> Submission:
    """A submission of one shard, as the package would write it down before sbatch."""
    return Submission(
        id=ledger.new_id(),
        task=task,
        task_class="data",
        plan=str(run.plan_path),
        store=str(run.store.root),
        run_dir=str(run.run_dir),
        elements=((shard,),),
        memory_mb=200,
        minutes=MINUTES,
        time=time.time(),
        worker=run.worker,
    )


# -- arrays and dependencies


def test_shards_are_arrays_and_children_wait_for_all_of_them(make):
    """Nine shards are three arrays where four fit into one; the child starts after the last of them."""
    run = make(make_plan(step("sign", shards=9), step("group", ["sign"])), {"sign.8": "sleep 1"})
    made = run.submit()
    assert [(one.task, len(one.elements)) for one in made.submissions] == [
        *[("sign", 4), ("sign", 4), ("sign", 1)],
        ("group", 1),
    ]
    assert set(made.submissions[-1].after) == {one.id for one in made.submissions[:3]}
    states = follow(run, finished)
    assert len(states) == 10
    assert set(ran(run).values()) == {1}
    started = next(event["time"] for event in events(run, "started") if event["task"] == "group")
    assert started > max(event["time"] for event in events(run, "finished") if event["task"] == "sign")
    assert run.submit().submissions == ()


def test_a_failing_shard_keeps_the_others_and_all_below_it_waits_for_a_person(make, tmp_path):
    """Its error is the worker's; the supervisor leaves it; mended, a submit runs the shard and what is below alone."""
    plan = make_plan(step("a", shards=3), step("b", ["a"], 2), step("c", ["b"]), step("aside"))
    refuse = f"after {tmp_path / 'go'} refuse"  # before the supervisor is queued there would be none to start
    run = make(plan, {"a.1": refuse}, profile=attrs.evolve(ALONE, supervise=True))
    run.submit()
    (tmp_path / "go").touch()
    states = end(run)
    assert told(states) == {
        **{("a", 0): "finished", ("a", 1): "error", ("a", 2): "finished"},
        **{("b", 0): "parent", ("b", 1): "parent", ("c", 0): "parent", ("aside", 0): "finished"},
    }
    assert states["a", 1].detail == "47 rows have no licence"
    log = next(logs_of(run.run_dir, "a").glob("*_1_0_log.out")).read_text()
    assert "error: 47 rows have no licence" in log
    assert "Traceback" not in log
    (said,) = [path.read_text() for path in supervisor_logs(run.run_dir).glob("*.out")]
    assert "0 shards of 0 tasks queued again; 2 tasks wait for a person" in said
    behave(run.run_dir, {})
    made = run.submit()
    assert [(one.task, one.shards) for one in made.submissions] == [("a", [1]), ("b", [0, 1]), ("c", [0])]
    assert finished(end(run))
    assert ran(run) == {key: 2 if key == ("a", 1) else 1 for key in states}


def test_a_worker_that_dies_is_failed_with_its_exit_code(make):
    """No exception and no word of the worker: the exit code is there all the same."""
    run = make(make_plan(step("t")), {"t": "crash"})
    run.submit()
    state = end(run)["t", 0]
    assert (state.state, state.cause, state.detail) == ("failed", "error", "exit code 7")


def test_a_child_whose_parent_lost_one_more_shard_meanwhile_goes_with_it_again(make):
    """It waited for the end of an array that was to fail anyway, and started too early: that is no error of its own."""
    plan = make_plan(step("a", shards=3), step("b", ["a"]))
    run = make(plan, {"a.0": "refuse", "a.1": LONG})
    run.submit()
    begun(run, "a", 1)
    follow(run, lambda states: states["a", 0].state == "failed" and states["a", 2].state == "finished")
    behave(run.run_dir, {})
    made = run.submit()
    assert [(one.task, one.shards) for one in made.submissions] == [("a", [0]), ("b", [0])]
    assert made.submissions[1].after_any
    (pid,) = [event["pid"] for event in events(run, "started") if event["task"] == "a" and event["shard"] == 1]
    os.kill(pid, signal.SIGKILL)
    assert told(end(run)) == {("a", 0): "finished", ("a", 1): "out_of_memory", ("a", 2): "finished", ("b", 0): "parent"}
    run.submit(supervisor=True)
    assert finished(end(run))


# -- what a job asks for


def test_a_job_gets_what_it_asks_for(make):
    """Processors, also inside the step, memory, devices; a class's settings go before the plan's figures."""
    profile = attrs.evolve(
        ALONE,
        classes={"eval": Settings(cpus=4, memory_mb=600)},
        setup=("export FROM_SETUP='a b'",),
        sbatch={"nice": "3"},
    )
    plan = make_plan(
        step("plain", cpus=3, memory_mb=512),
        step("eval", cpus=2, memory_mb=90, gpus=2, task_class="eval"),
        step("wide", nodes=2),
    )
    run = make(plan, dict.fromkeys(("plain", "eval", "wide"), "environment"), profile=profile)
    run.submit()
    assert finished(end(run))
    assert set(ran(run).values()) == {1}
    seen = {task.id: output(run, task.id) for task in plan.tasks}
    wanted = ("SLURM_CPUS_PER_TASK", "SLURM_MEM_PER_NODE", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "FROM_SETUP")
    assert [seen["plain"].get(name) for name in wanted] == ["3", "512", "3", None, "a b"]
    assert [seen["eval"].get(name) for name in wanted] == ["4", "600", "4", "0,1", "a b"]
    assert seen["wide"]["SLURM_JOB_NODELIST"] == "n[1-2]"


def output(run: SlurmRun, task: str) -> dict[str, str]:
    """What a task with the behaviour `environment` left."""
    artifact = run.store.find(run.plan.task(task).fingerprint)
    assert artifact is not None
    return json.loads(next(artifact.path.glob("tokens/*")).read_text())


def test_a_throttle_and_packed_shards_are_seen_in_the_queue(make):
    """Five shards, two to a job, one job at a time; all of them run."""
    profile = attrs.evolve(ALONE, max_parallel_shards=1, shards_per_job=2, sbatch={"hold": ""})
    run = make(make_plan(step("t", shards=5)), profile=profile)
    (one,) = run.submit().submissions
    assert one.elements == ((0, 1), (2, 3), (4,))
    array = ledger.job_ids(run.ledger.journal.read())[one.id]
    assert say("squeue", "--noheader", "--format=%i", f"--jobs={array}") == f"{array}_[0-2%1]"
    subprocess.run(["scontrol", "release", array], check=True)
    assert finished(end(run))
    assert set(ran(run).values()) == {1}
    assert len({job for shard in range(5) for job in attempts(run.run_dir, "t", shard)}) == 3


def test_secrets_reach_the_job_and_no_file(make, monkeypatch, tmp_path):
    """Not the run's directory, not the batch script; the job has them under the name that the profile gives."""
    monkeypatch.setenv("MY_TOKEN", "hunter2-and-more")
    profile = attrs.evolve(ALONE, environment={"TOKEN": "env:MY_TOKEN", "PLAIN": "a b"}, supervise=True)
    plan = make_plan(step("t"), step("u", ["t"]))
    behaviours = {"t": f"wait {tmp_path / 'go'}", "u": "environment"}
    run = make(plan, behaviours, profile=profile, store=tmp_path / "store")
    run.submit()
    begun(run, "t")
    job = look(run)["t", 0].job_id
    script = say("scontrol", "write", "batch_script", job, "-")
    assert "runtime.node" in script
    assert "hunter2" not in script
    (tmp_path / "go").touch()
    assert finished(end(run))
    assert {name: output(run, "u").get(name) for name in ("TOKEN", "PLAIN")} == {
        "TOKEN": "hunter2-and-more",
        "PLAIN": "a b",
    }
    files = [path for path in run.run_dir.rglob("*") if path.is_file()]
    assert any(path.name.endswith("submission.sh") for path in files)
    assert [path for path in files if b"hunter2" in path.read_bytes()] == []
    monkeypatch.delenv("MY_TOKEN")
    behave(run.run_dir, {})
    with pytest.raises(UserError, match="MY_TOKEN"):
        make(plan, profile=profile, name="unset").submit()


HOSTILE = ["data/clean", "a b; touch owned", "$(touch owned)`id`", "../../etc", "ü\n#SBATCH --hold", "%j %A", "'\"\\"]


def test_hostile_task_names_are_only_names(make, tmp_path):
    """Spaces, quotes, line breaks, patterns, length: jobs run, logs stay inside, names are plain."""
    tasks = [*HOSTILE, "x" * 200]
    run = make(make_plan(*map(step, tasks)))
    run.submit()
    rows = [row for rows in queue.look(run.tag, {}).rows.values() for row in rows]  # of ended jobs, too
    assert len({row.label.task for row in rows if len(row.label.text) < 100}) == len(tasks)
    assert finished(end(run))
    folders = [logs_of(run.run_dir, task) for task in tasks]
    assert {folder.parent for folder in folders} == {run.run_dir / "logs" / "slurm"}
    assert len(set(folders)) == len(tasks)
    assert all(len(list(folder.glob("*_0_log.out"))) == 1 for folder in folders)
    assert list(tmp_path.rglob("owned")) == []


# -- tried again


def test_memory_grows_up_to_the_cap_by_the_supervisor_alone(make, tmp_path):
    """One shard succeeds at its third size; one that wants more than the cap stops there, and its child waits."""
    plan = make_plan(step("grows"), step("capped"), step("below", ["capped"]))
    retry = Retry(memory_growth=2.0, max_memory_mb=900)
    profile = attrs.evolve(ALONE, supervise=True, retry=retry)
    after = f"after {tmp_path / 'go'}"  # what fails while it is submitted is tried again by the submit
    run = make(plan, {"grows": f"{after} need 800", "capped": f"{after} need 5000"}, profile=profile)
    run.submit()
    (tmp_path / "go").touch()
    states = end(run)
    assert told(states) == {("grows", 0): "finished", ("capped", 0): "out_of_memory", ("below", 0): "parent"}
    asked = {task: [one.memory_mb for one in run.ledger.submissions() if one.task == task] for task in ran_tasks(plan)}
    assert asked["grows"] == [200, 400, 800]
    assert asked["capped"] == [200, 400, 800, 900]
    jobs = ledger.job_ids(run.ledger.journal.read())
    shown = [
        say("squeue", "--noheader", "--states=all", f"--jobs={jobs[one.id]}", "--Format=minmemory:20")
        for one in run.ledger.submissions()
        if one.task == "grows"
    ]
    assert shown == ["200M", "400M", "800M"]
    assert [event["cause"] for event in events(run, "retry") if event["task"] == "grows"] == ["out_of_memory"] * 2


def ran_tasks(plan: Plan) -> list[str]:
    return [task.id for task in plan.tasks]


def test_one_element_that_runs_out_of_time_is_queued_again_alone(make):
    """The last element has the array's own id: the others must not be started again with it."""
    plan = make_plan(step("t", shards=3, task_class="train"))
    run = make(plan)
    wait = f"wait {run.run_dir / 'go'}"
    behave(run.run_dir, {"t.0": "finish", "t.1": wait, "t.2": "sleep once"})
    run.submit()
    begun(run, "t", 1, 2)
    job = follow(run, lambda states: states["t", 0].state == "finished")["t", 2].job_id
    assert say("squeue", "--noheader", "--format=%A", f"--jobs={job}") == job.partition("_")[0]
    with nothing_starts():
        subprocess.run(["scancel", "--signal=USR2", job], check=True)
        states = follow(run, lambda states: states["t", 2].state in {"preempted", "requeued"})
        assert states["t", 1].state == "running"
    follow(run, lambda states: states["t", 2].state == "finished")
    (run.run_dir / "go").touch()
    assert finished(end(run))
    assert ran(run) == {("t", 0): 1, ("t", 1): 1, ("t", 2): 2}
    assert [event["restart"] for event in events(run, "running") if event["element"] == 2] == [0, 1]


def test_training_in_two_ranks_stops_and_goes_on(make):
    """Both save; the one that ends first does not take the other with it, and the job is queued again once."""
    run = make(make_plan(step("t", task_class="train", gpus=2)), {"t": LONG})
    run.submit()
    begun(run, "t", times=2)
    behave(run.run_dir, {})
    subprocess.run(["scancel", "--signal=USR2", look(run)["t", 0].job_id], check=True)
    assert finished(end(run))
    assert ran(run) == {("t", 0): 4}
    assert [event["restart"] for event in events(run, "running")] == [0, 1]
    assert events(run, "shard_failed") == []


def test_a_rank_that_fails_is_no_preemption_of_the_others(make):
    """srun ends them as Slurm does when it preempts: the job failed, with that rank's error, and is not tried again."""
    run = make(make_plan(step("t", task_class="train", gpus=2)), {"t": "rank 1"})
    run.submit()
    state = end(run)["t", 0]
    assert (state.cause, state.detail) == ("error", "no data for rank 1")
    assert [event["restart"] for event in events(run, "running")] == [0]


def test_a_job_that_is_cancelled_while_it_stops_is_not_queued_again(make):
    """The signal that ends it is the one of a preemption; only the queue tells the two apart."""
    run = make(make_plan(step("t", task_class="train")), {"t": LONG})
    run.submit()
    begun(run, "t")
    subprocess.run(["scancel", look(run)["t", 0].job_id], check=True)
    assert told(end(run)) == {("t", 0): "cancelled"}
    assert ran(run) == {("t", 0): 1}


def test_lost_jobs_are_queued_again(make):
    """A job whose id Slurm does not know, by the supervisor; an element that was cancelled as it waited, by a person.

    Slurm forgets both, but of the latter it knows the rest of the array.
    """
    run = make(make_plan(step("t", shards=2), step("u")), profile=attrs.evolve(ALONE, sbatch={"hold": ""}))
    run.submit()
    foreign = say("sbatch", "--parsable", "--hold", "--wrap=true")  # as if Slurm had given the id out again
    one = one_element(run, "u")
    subprocess.run(["scancel", look(run)["t", 1].job_id, look(run)["u", 0].job_id], check=True)
    run.ledger.open(one)
    run.ledger.submitted(one, foreign)
    states = follow(run, lambda states: states["t", 1].state != "queued")
    assert told(states) == {("t", 0): "queued", ("t", 1): "cancelled", ("u", 0): "lost"}
    assert states["u", 0].job_id == ""
    again = attrs.evolve(run, profile=ALONE)
    assert [(made.task, made.shards) for made in again.submit(supervisor=True).submissions] == [("u", [0])]
    assert [(made.task, made.shards) for made in again.submit().submissions] == [("t", [1])]
    subprocess.run(["scontrol", "release", look(run)["t", 0].job_id.partition("_")[0]], check=True)
    assert finished(end(run))
    assert set(ran(run).values()) == {1}
    subprocess.run(["scancel", foreign], check=True)


# -- killed, and at the same time


COUNT = "n=$(cat COUNT 2>/dev/null || echo 0)\necho $((n+1)) >COUNT\n"
KILLED = {
    "before the first sbatch": "kill -9 $PPID; exit 1",
    "inside the second sbatch": COUNT + '"$REAL" "$@"; [ $n = 1 ] && kill -9 $PPID; exit 0',
    "before the third sbatch": COUNT + '[ $n = 2 ] && { kill -9 $PPID; exit 1; }; exec "$REAL" "$@"',
}


@pytest.mark.parametrize("moment", KILLED)
def test_a_driver_that_is_killed_leaves_nothing_lost_and_nothing_twice(make, monkeypatch, tmp_path, moment):
    """The next submit finds what was queued by its label, and queues the rest."""
    run = make(make_plan(step("a", shards=5), step("b", ["a"])))
    with monkeypatch.context() as patch:
        shim(patch, tmp_path / "bin", "sbatch", KILLED[moment].replace("COUNT", str(tmp_path / "count")))
        driver = subprocess.run(
            [sys.executable, "-m", "tests.slurm.drive", str(run.run_dir)], capture_output=True, text=True, check=False
        )
    assert driver.returncode == -9, driver.stderr
    run.submit()
    assert finished(end(run))
    assert set(ran(run).values()) == {1}
    found = [event for event in events(run, "submitted") if event.get("found")]
    assert len(found) == (1 if "inside" in moment else 0)


def test_two_submits_at_once_queue_everything_once(make):
    """The second waits for the first, and finds nothing to do."""
    run = make(make_plan(step("a", shards=6), step("b", ["a"])))
    command = [sys.executable, "-m", "tests.slurm.drive", str(run.run_dir)]
    drivers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(driver.communicate(timeout=PATIENCE_S)[0].strip() for driver in drivers) == ["0", "7"]
    assert finished(end(run))
    assert set(ran(run).values()) == {1}


# -- cancel


def test_cancel_leaves_nothing_of_the_run_in_the_queue(make):
    """Running jobs, waiting ones (none of which starts), supervisors, and one that nobody noted; not another run's."""
    plan = make_plan(step("t", shards=6, cpus=4), step("u", ["t"]))
    run = make(plan, {"t": LONG}, profile=attrs.evolve(ALONE, supervise=True))
    other = make(make_plan(step("t")), {"t": LONG}, name="other", profile=ALONE)
    other.submit()
    begun(other, "t")  # or it may find no processor
    run.submit()
    lost = one_element(run, "u")
    label = run.submitter.request(Part(task=plan.task("u"), shards=(0,)), 1, lost.id).label.text
    subprocess.run(["sbatch", "--hold", f"--job-name={label}", "--wrap=true"], capture_output=True, check=True)
    states = follow(run, lambda states: sum(state.state == "running" for state in states.values()) == 3)
    waiting = [key for key, state in states.items() if state.state == "queued"]
    assert any(name.startswith("supervisor.") for name in names(run))
    assert run.cancel() == 9  # six shards, the child, its double and the supervisor
    assert [name.partition(".")[2] for name in names(run, other)] == [f"{other.tag}.{other.ledger.submissions()[0].id}"]
    assert set(told(look(run)).values()) == {"cancelled", "parent"}
    assert {ran(run)[key] for key in waiting} == {0}
    assert run.submit(supervisor=True).submissions == ()


def test_cancel_stops_a_submit_that_is_under_way(make, tmp_path):
    """Another process queues fifty tasks, one after another: when cancel returns nothing is left, and nothing comes."""
    run = make(make_plan(*[step(f"t{number}") for number in range(50)]), {f"t{n}": LONG for n in range(50)})
    command = [sys.executable, "-m", "tests.slurm.drive", str(run.run_dir)]
    driver = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for("fifth job", lambda: len(events(run, "submitted")) >= 5)
    ours = run.cancel()
    _, said = driver.communicate(timeout=PATIENCE_S)
    assert queue.look(run.tag, {}).live == []
    # Whichever comes first, each job is ended by the cancel or taken back by the submit that it stops, or by both.
    assert ours + len(events(run, "withdrawn")) >= 5
    assert driver.returncode == 1
    assert "cancelled while it was submitted" in said
    assert len(events(run, "submitted")) < 50
    assert {"submit", "cancel"} == {event["event"] for event in run.ledger.journal.read()} & {"submit", "cancel"}


def test_a_task_may_be_called_as_the_supervisor_is(make):
    """Its jobs and logs are its own."""
    run = make(make_plan(step("supervisor")), profile=attrs.evolve(ALONE, supervise=True))
    run.submit()
    assert finished(end(run))
    assert logs_of(run.run_dir, "supervisor") != supervisor_logs(run.run_dir)


def test_memory_that_a_person_raised_is_not_lowered_again(make):
    """After running out with 200 MB: twice that, or what the profile says now, whichever is more."""
    run = make(make_plan(step("t")), {"t": "need 900"})
    run.submit()
    assert told(end(run)) == {("t", 0): "out_of_memory"}
    more = attrs.evolve(run, profile=attrs.evolve(ALONE, memory_mb=1000))
    assert more.submit().submissions[0].memory_mb == 1000
    assert finished(end(run))


# -- refusals and absences


def test_a_refusal_says_what_sbatch_said_and_takes_back_the_rest(make, monkeypatch, tmp_path):
    """A partition that does not exist: one message, nothing stays queued or comes back; corrected, everything runs."""
    profile = attrs.evolve(ALONE, supervise=True, classes={"train": Settings(partition="gpuu")})
    plan = make_plan(step("t", shards=2), step("model", ["t"], task_class="train"))
    run = make(plan, {"t": LONG}, profile=profile)
    work = attempts_file(run.run_dir, "t", 1)  # the rest is at work when the refusal comes
    with monkeypatch.context() as patch:
        until = f'grep -q gpuu "$1" && until [ -s {work} ]; do sleep 0.1; done\n'
        shim(patch, tmp_path / "bin", "sbatch", until + 'exec "$REAL" "$@"')
        with pytest.raises(UserError, match="invalid partition specified: gpuu") as caught:
            run.submit()
    assert "'model'" in caught.value.what
    end(run)
    assert {event["task"] for event in events(run, "withdrawn")} == {"t", "model"}
    assert events(run, "supervisor") == []
    behave(run.run_dir, {})
    attrs.evolve(run, profile=ALONE).submit()
    assert finished(end(run))
    assert ran(run)["t", 1] == 2


def test_an_array_that_is_too_large_for_ones_limit_is_queued_in_parts(make, monkeypatch, tmp_path):
    """Slurm counts elements; here at most two are taken at a time."""
    full = 'grep -q "array=0-[2-9]" "$1" && { echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2; exit 1; }\n'
    shim(monkeypatch, tmp_path / "bin", "sbatch", full + 'exec "$REAL" "$@"')
    run = make(make_plan(step("t", shards=7), step("u", ["t"])))
    sizes = [len(one.elements) for one in run.submit().submissions]
    assert sum(sizes) == 8 and max(sizes) == 2
    assert finished(end(run))
    assert set(ran(run).values()) == {1}


def test_a_refusal_to_the_supervisor_does_not_end_the_rest(make, tmp_path):
    """One branch needs more memory than any node has; the other is preempted later, and goes on."""
    plan = make_plan(step("a", memory_mb=9000), step("b", ["a"]), step("x"), step("y", ["x"]))
    first, then = tmp_path / "first", tmp_path / "then"
    behaviours = {"a": f"after {first} need 99999", "x": f"wait {then}", "y": "need 300"}
    run = make(plan, behaviours, profile=attrs.evolve(ALONE, supervise=True))
    run.submit()
    first.touch()
    wait_for("refusal", lambda: bool(events(run, "refused")))
    wait_for("other supervisor", lambda: len(events(run, "supervisor")) > 1)
    then.touch()
    states = end(run)
    assert told(states) == {("a", 0): "out_of_memory", ("b", 0): "parent", ("x", 0): "finished", ("y", 0): "finished"}
    (refused,) = events(run, "refused")
    assert (refused["task"], refused["shards"]) == ("a", [0])
    assert "Memory" in refused["why"]


GONE = "until [ -z \"$(squeue --noheader --format=%j | grep '^a\\.')\" ]; do sleep 0.1; done\n"


def test_what_fails_while_it_is_submitted_is_tried_again_and_a_refusal_of_that_is_none_of_the_submit(
    make, monkeypatch, tmp_path
):
    """The job ends before the last one is queued, and no node has the memory that it would get next."""
    plan = make_plan(step("a", memory_mb=9000), step("small"), step("x"))
    run = make(plan, {"a": "need 99999"})
    with monkeypatch.context() as patch:
        until = 'grep -q "job-name=x" "$1" && ' + GONE
        shim(patch, tmp_path / "bin", "sbatch", until + 'exec "$REAL" "$@"')
        assert [one.task for one in run.submit().submissions] == ["a", "small", "x"]
    assert [event["task"] for event in events(run, "refused")] == ["a"]
    assert told(end(run)) == {("a", 0): "out_of_memory", ("small", 0): "finished", ("x", 0): "finished"}


def test_a_job_that_fails_after_the_last_look_has_a_supervisor(make, monkeypatch, tmp_path):
    """It is in the queue no more when the supervisor is queued, and nobody has seen how it ended."""
    go, calls = tmp_path / "go", tmp_path / "calls"
    retried = attrs.evolve(ALONE, supervise=True)
    run = make(make_plan(step("a")), {"a": f"after {go} need 300"}, profile=retried)
    with monkeypatch.context() as patch:
        # Asked before anything is queued, twice, and when it is: what comes then is for the supervisor.
        head = f'echo >>{calls}\nif [ "$(wc -l <{calls})" = 4 ]; then\ntouch {go}\n'
        shim(patch, tmp_path / "bin", "squeue", head + GONE.replace("squeue", '"$REAL"') + 'fi\nexec "$REAL" "$@"')
        run.submit()
    assert go.exists()
    assert told(end(run)) == {("a", 0): "finished"}
    assert [event["memory_mb"] for event in events(run, "retry")] == [400]


def test_filters_of_squeue_in_the_environment_hide_nothing(make, monkeypatch):
    """A job that is not shown would be taken for lost, and queued again."""
    monkeypatch.setenv("SQUEUE_PARTITION", "elsewhere")
    monkeypatch.setenv("SQUEUE_STATES", "FAILED")
    monkeypatch.setenv("SBATCH_PARTITION", "elsewhere")
    run = make(make_plan(step("t", shards=3)))
    assert len(run.submit().submissions) == 1
    assert finished(end(run))
    assert set(ran(run).values()) == {1}


def test_a_squeue_that_hides_our_jobs_is_not_believed(make, monkeypatch, tmp_path):
    """A wrapper, another cluster: said at once, and nothing is queued twice."""
    run = make(make_plan(step("t", shards=3)), {"t": LONG})
    with monkeypatch.context() as patch:
        shim(patch, tmp_path / "bin", "squeue", "exit 0")
        with pytest.raises(UserError, match="squeue does not show job"):
            run.submit()
    assert len(run.ledger.submissions()) == 1
    assert {state.is_live for state in look(run).values()} == {True}


def test_what_could_never_run_is_found_before_anything_is_queued(make):
    """More nodes than there are is accepted by sbatch, and would wait for ever; one message per kind of request."""
    wide = step("wide", nodes=3)
    run = make(make_plan(step("fine", shards=2), wide, attrs.evolve(wide, id="twin")))
    (problem,) = run.check()
    assert "3 nodes" in problem.what
    fine = make(make_plan(step("fine")), name="fine")
    assert fine.check() == []
    assert [queue.look(one.tag, {}).rows for one in (run, fine)] == [{}, {}]


def test_an_answer_that_got_lost_does_not_make_a_job_twice(make, monkeypatch, tmp_path):
    """sbatch queues the job but its answer times out: that job is found by its label."""
    once = f'[ -e {tmp_path}/tried ] && exec "$REAL" "$@"\ntouch {tmp_path}/tried\n"$REAL" "$@" >&2'
    lost = "echo 'sbatch: error: Socket timed out on send/recv operation' >&2\nexit 1"
    shim(monkeypatch, tmp_path / "bin", "sbatch", f"{once}\n{lost}")
    run = make(make_plan(step("t", shards=2)))
    assert run.submit().shards == 2
    known = queue.look(run.tag, {}).rows  # ended ones too: the pause before the second try is longer than the work
    assert len({row.array for rows in known.values() for row in rows}) == 1
    assert finished(end(run))
    assert set(ran(run).values()) == {1}


AWAY = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2\nexit 1"


def test_a_controller_that_is_away_is_waited_for_and_nothing_is_lost(make, monkeypatch, tmp_path):
    """Said once, then one error for each command; what was queued before is what is queued after."""
    wait = {"a": f"wait {tmp_path / 'go'}"}
    run = make(make_plan(step("a", shards=5), step("b", ["a"])), wait)
    said: list[str] = []
    # Longer than a first try takes, after which it would not say that it waits.
    run.patience.seconds, run.patience.say, run.patience.pauses_s = 1.5, said.append, (0.1,)
    with monkeypatch.context() as patch:  # it goes away between the first sbatch and the second
        shim(
            patch,
            tmp_path / "bin",
            "sbatch",
            f'[ -e {tmp_path}/tried ] || {{ touch {tmp_path}/tried; exec "$REAL" "$@"; }}\n{AWAY}',
        )
        with pytest.raises(Unanswered, match="Unable to contact"):
            run.submit()
        assert len(said) == 1
        for program in ("squeue", "scancel", "scontrol"):
            shim(patch, tmp_path / "bin", program, AWAY)
        for command in (run.look, run.submit, run.cancel):
            said.clear()
            with pytest.raises(Unanswered, match="Unable to contact"):
                command()
            assert len(said) == 1
    run = make(run.plan, wait)
    assert {told(look(run))["a", shard] for shard in range(4)} <= {"queued", "running"}
    assert [(one.task, one.shards) for one in run.submit().submissions] == [("a", [4]), ("b", [0])]
    (tmp_path / "go").touch()
    assert finished(end(run))
    assert set(ran(run).values()) == {1}


def test_one_look_is_one_squeue_and_at_most_one_sacct(make, monkeypatch, tmp_path):
    """However many jobs there are; sacct only where squeue has forgotten one."""
    run = make(make_plan(*[step(f"t{number}", shards=2) for number in range(5)]), {"t0": LONG})
    run.submit()
    calls = tmp_path / "calls"
    for program in ("squeue", "sacct", "scontrol"):
        if shutil.which(program):
            shim(monkeypatch, tmp_path / "bin", program, f'echo {program} >>{calls}\nexec "$REAL" "$@"')
    calls.write_text("")
    for _ in range(3):
        run.look()
    assert calls.read_text().split() == ["squeue"] * 3
    for task in ("t0", "t0"):
        one = one_element(run, task)
        run.ledger.open(one)
        run.ledger.submitted(one, "99999999")
    calls.write_text("")
    run.look()
    assert calls.read_text().split() == ["squeue", *(["sacct"] if shutil.which("sacct") else [])]


def test_another_process_sees_the_same(make, tmp_path):
    """Nothing is kept in memory: a second object, as another process has, follows and adds a child to what runs."""
    wait = {"a": f"wait {tmp_path / 'go'}"}
    first = make(make_plan(step("a")), wait)
    first.submit()
    begun(first, "a")
    second = make(make_plan(step("a"), step("b", ["a"])), wait)
    assert running(("a", 0))(look(second))
    made = second.submit()
    assert [(one.task, one.after) for one in made.submissions] == [("b", (first.ledger.submissions()[0].id,))]
    (tmp_path / "go").touch()
    assert finished(end(second))
    assert ran(second) == {("a", 0): 1, ("b", 0): 1}
