"""Faults on a real cluster: each breaks something in the middle of a run and looks at what became of the run.

    python -m tests.slurm.faults [NAME ...] [--times 5]

prints a table, one line per fault: how often it was tried, what happened, whether anything was lost or done twice.
`test_faults.py` tries each once. A fault is a function of a `Trial`; it raises AssertionError where a promise is
broken. The promises that hold for all: every artefact is there in the end with the content that an unbroken run gives,
and no shard is started again after it had finished.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from compiler.compile import compile_experiment
from compiler.plan import Plan
from compiler.profile import Profile, Retry, Settings
from compiler.write import write_plan
from ocspec import WSD, Batches, Curriculum, Experiment, Mixture, Part, Pretrain
from runtime.dispatch.slurm import queue
from runtime.dispatch.slurm.run import SlurmRun
from runtime.dispatch.slurm.states import ShardState
from runtime.store import Store
from tests.runtime.conftest import Workbench, tiny, write_corpus
from tests.slurm.cluster import Cluster, Shape
from tests.slurm.drive import open_run
from tests.slurm.environment import running
from tests.slurm.graph import MINUTES, attempts, behave, make_plan, make_run, step

ROOT = Path(__file__).resolve().parents[2]
FAULTS: dict[str, Callable[[Trial], str]] = {}
PATIENCE_S = 600.0  # of a machine that does other things as well
LONG_STEPS = 900  # of a tenth of a second and more: longer than a job of two minutes goes on before it is told


def fault(function: Callable[[Trial], str]) -> Callable[[Trial], str]:
    """Register a fault under its name, with blanks."""
    FAULTS[function.__name__.replace("_", " ")] = function
    return function


@attrs.define
class Trial:
    """One fault, once: a directory, a cluster that may be broken, and chance."""

    directory: Path
    cluster: Cluster
    chance: random.Random
    events: list[str] = attrs.field(factory=list)

    def run(self, plan: Plan | None = None, profile: Profile | None = None, **behaviours: str) -> SlurmRun:
        """A run of a plan, by default of `diamond`."""
        return make_run(self.directory, plan or diamond(), behaviours, profile=profile)

    def reopen(self) -> SlurmRun:
        """The run as another process on another login node would see it."""
        return open_run(self.directory)

    def driver(self, path: str = "") -> subprocess.Popen[str]:
        """A process that submits; `path` goes before PATH."""
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        if path:
            environ["PATH"] = f"{path}:{environ['PATH']}"
        command = [sys.executable, "-m", "tests.slurm.drive", str(self.directory)]
        return subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
        )

    def shim(self, program: str, body: str) -> str:
        """A directory with a script in place of one of Slurm's programs; `$REAL` in it is the program."""
        place = self.directory / "shims"
        place.mkdir(parents=True, exist_ok=True)
        script = place / program
        script.write_text(f"#!/bin/bash\nREAL={shutil.which(program)}\n{body}\n")
        script.chmod(0o755)
        return str(place)

    @property
    def go(self) -> Path:
        """What shards wait for that must not end before something has happened to them."""
        return self.directory / "go"

    @property
    def wait(self) -> str:
        """What they are told to do until then."""
        return f"wait {self.go}"

    def until(self, what: str, ready: Callable[[list[ShardState]], bool], seconds: float = PATIENCE_S) -> None:
        """Look until the states satisfy a condition, one that holds from then on."""
        end = time.monotonic() + seconds
        while True:
            states, snapshot = self.reopen().look()
            if ready(states):
                return
            if time.monotonic() > end:
                shown = [f"{s.task_id}.{s.shard} {s.state} {s.cause or ''} {s.detail}" for s in states]
                jobs = [f"{row.job_id} {row.state} {row.reason}" for row in snapshot.live]
                raise AssertionError(f"not {what} after {seconds:.0f} s: {shown}; jobs: {jobs}")
            time.sleep(0.5)

    def running(self, task_id: str, count: int = 1) -> None:
        """Wait until so many shards of a task do their work at once, which they must not end by themselves."""
        self.until(
            f"{count} of {task_id} running",
            lambda states: (
                sum(s.state == "running" and bool(self.ran(s)) for s in states if s.task_id == task_id) >= count
            ),
        )

    def ran(self, state: ShardState) -> list[str]:
        """The jobs that worked on a shard."""
        return attempts(self.directory, state.task_id, state.shard)

    def finished(self) -> None:
        """Wait until all is done, and check what must hold for every run."""
        self.until("finished", lambda states: all(s.state == "finished" for s in states))
        self.check()

    def finished_by_submits(self) -> int:
        """As `finished`, where a person submits again who sees lost or held jobs in `ocspec status`; how often."""
        end = time.monotonic() + PATIENCE_S
        submits = 0
        while True:
            states, snapshot = self.reopen().look()
            if all(state.state == "finished" for state in states):
                break
            assert time.monotonic() < end, (states, snapshot.live)
            if not any(state.is_live for state in states) or any(row.is_stuck for row in snapshot.live):
                self.reopen().submit()
                submits += 1
            time.sleep(2)
        self.check()
        return submits

    def over(self) -> list[ShardState]:
        """Wait until no job of the run is left, supervisors included; where the shards stand then."""
        end = time.monotonic() + PATIENCE_S
        while True:
            _, snapshot = self.reopen().look()
            if not snapshot.live:
                return self.reopen().look()[0]
            assert time.monotonic() < end, [f"{row.job_id} {row.state} {row.reason}" for row in snapshot.live]
            time.sleep(0.5)

    def forgotten(self) -> None:
        """Wait until the controller has forgotten all jobs of the run; the accounting has not."""
        end = time.monotonic() + PATIENCE_S
        while queue.look(self.reopen().tag, {}).rows:
            assert time.monotonic() < end, "Slurm does not forget"
            time.sleep(1)

    def check(self) -> None:
        """Nothing is lost, and nothing was started again after it had finished."""
        run = self.reopen()
        for task in run.plan.tasks:
            artifact = run.store.find(task.fingerprint)
            assert artifact is not None, f"{task.id} is lost"
            texts = [path.read_text() for path in sorted(artifact.path.rglob("*.txt"))]
            assert sorted(texts) == sorted(f"{task.id} {shard}\n" for shard in range(task.shards)), task.id
        assert self.repeated() == [], f"done twice: {self.repeated()}"

    def repeated(self) -> list[tuple[str, int]]:
        """Shards that were started again after they had finished."""
        done: set[tuple[str, int]] = set()
        again = []
        for event in self.reopen().ledger.journal.read():
            place = (event.get("task", ""), event.get("shard", -1))
            if event["event"] == "started" and place in done:
                again.append(place)
            if event["event"] == "finished":
                done.add(place)
        return again

    def restarts(self) -> int:
        """How often Slurm has queued jobs of the run again that it still knows."""
        return sum(row.restarts for rows in self.reopen().look()[1].rows.values() for row in rows)

    def extra(self) -> int:
        """Attempts beyond the first of each shard."""
        tasks = self.reopen().plan.tasks
        tries = [len(attempts(self.directory, task.id, shard)) for task in tasks for shard in range(task.shards)]
        return sum(count - 1 for count in tries if count)

    def retried(self) -> Counter[str]:
        """Retries by cause, those of Slurm itself included."""
        events = self.reopen().ledger.journal.read()
        causes = [e["cause"] for e in events if e["event"] == "requeue"]
        return Counter(causes + [e["cause"] for e in events if e["event"] == "retry" for _ in e["shards"]])


def diamond(shards: int = 6) -> Plan:
    """Six shards, two tasks that read them, one that reads both."""
    return make_plan(
        step("sign", shards=shards),
        step("left", ["sign"], shards=3),
        step("right", ["sign"]),
        step("end", ["left", "right"]),
    )


def profile(**fields: object) -> Profile:
    """A profile whose supervisor keeps out of the partitions that are preempted."""
    return Profile(name="test", dispatch="slurm", minutes=MINUTES, **fields)  # type: ignore[arg-type]


def killed_driver(trial: Trial, body: str) -> str:
    """A driver that dies at a random sbatch, in the way that `body` says; then another one."""
    trial.run(sign="sleep 1")
    number = trial.chance.randrange(1, 6)
    counter = trial.directory / "calls"
    head = f'echo >>{counter}\n[ "$(wc -l <{counter})" = {number} ] || exec "$REAL" "$@"\n'
    driver = trial.driver(trial.shim("sbatch", head + body))
    driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == -9, driver.returncode
    trial.reopen().submit()
    trial.finished()
    return f"died at sbatch {number}; {trial.extra()} attempts beyond the first"


@fault
def driver_killed_before_sbatch(trial: Trial) -> str:
    """kill -9 after the submission was written down, before Slurm has it."""
    return killed_driver(trial, "kill -9 $PPID; exit 1")


@fault
def driver_killed_inside_sbatch(trial: Trial) -> str:
    """kill -9 while sbatch runs: Slurm takes the job, nobody hears its id."""
    return killed_driver(trial, 'kill -9 $PPID; exec "$REAL" "$@"')


@fault
def driver_killed_after_sbatch(trial: Trial) -> str:
    """kill -9 when Slurm has answered and nothing is noted yet."""
    return killed_driver(trial, '"$REAL" "$@" >/dev/null; kill -9 $PPID; sleep 1')


@fault
def two_drivers_at_once(trial: Trial) -> str:
    """Two submits of one plan in the same moment: one queues, the other finds it all queued."""
    trial.run(sign="sleep 1")
    drivers = [trial.driver() for _ in range(2)]
    said = [driver.communicate(timeout=PATIENCE_S)[0].split()[-1] for driver in drivers]
    assert sorted(said) == ["0", "11"], said
    trial.finished()
    assert trial.extra() == 0
    return "one queued 11 shards, the other none"


@fault
def slurmctld_down_60_s_during_submit(trial: Trial) -> str:
    """The controller is away when submit begins, and comes back a minute later."""
    trial.run()
    trial.cluster.kill("slurmctld")
    driver = trial.driver()
    time.sleep(60)
    assert driver.poll() is None, "submit did not wait"
    trial.cluster.start()
    said, _ = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 0, said
    assert "Slurm does not answer" in said and "Slurm answers again" in said
    trial.finished()
    assert trial.extra() == 0
    return "submit waited, said so, and went on"


@fault
def slurmctld_down_60_s_during_the_run(trial: Trial) -> str:
    """The controller dies while shards run, and comes back a minute later."""
    trial.run(sign=trial.wait).submit()
    trial.running("sign", 2)
    trial.cluster.settle()
    trial.cluster.kill("slurmctld")
    trial.go.touch()
    time.sleep(60)
    trial.cluster.start()
    trial.finished()
    return f"running shards ended, the rest followed; {trial.extra()} attempts beyond the first"


@fault
def slurmctld_killed_seconds_after_submit(trial: Trial) -> str:
    """SIGKILL when all is queued and nobody watches: it may have forgotten any of it, the supervisor too."""
    trial.run(sign="sleep 5").submit()
    time.sleep(trial.chance.uniform(0.0, 3.0))
    trial.cluster.kill("slurmctld")
    time.sleep(5)
    trial.cluster.start()
    submits = trial.finished_by_submits()
    return f"{submits} submits more were needed; {trial.extra()} attempts beyond the first"


@fault
def slurmctld_killed_right_after_sbatch(trial: Trial) -> str:
    """SIGKILL as soon as sbatch has an id: the controller forgets the job and gives its id to the next one."""
    trial.run()
    number = trial.chance.randrange(1, 5)
    counter = trial.directory / "calls"
    pid = trial.cluster._pid("slurmctld")
    head = f'"$REAL" "$@"; code=$?; echo >>{counter}\n[ "$(wc -l <{counter})" = {number} ] && kill -9 {pid}\n'
    driver = trial.driver(trial.shim("sbatch", head + "exit $code"))
    trial.cluster.wait("the controller's end", lambda: not trial.cluster.alive("slurmctld"))
    trial.cluster.start()
    said, _ = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 0, said
    lost = trial.retried()["lost"]
    submits = trial.finished_by_submits()
    return f"killed at sbatch {number}: {lost} shards were forgotten and queued again; {submits} submits by a person"


@fault
def slurmdbd_down(trial: Trial) -> str:
    """The accounting dies in the middle."""
    trial.run(sign="sleep 2").submit()
    trial.cluster.kill("slurmdbd")
    trial.finished()
    trial.cluster.start()
    assert trial.extra() == 0
    return "went on without sacct"


@fault
def node_killed_in_a_shard(trial: Trial) -> str:
    """A power cut on one of four nodes."""
    trial.run(sign=trial.wait).submit()
    trial.running("sign", 6)
    states, _ = trial.reopen().look()
    node = next(state.node for state in states if state.task_id == "sign" and state.state == "running")
    hit = sum(state.node == node for state in states)
    trial.cluster.kill_node(node)
    trial.go.touch()
    trial.finished()
    trial.cluster.start()
    return f"{hit} shards ran there, {trial.extra()} ran again elsewhere"


def preempted(trial: Trial, partition: str) -> str:
    """All of a partition is taken by an urgent job for a while."""
    trial.run(profile=profile(partition=partition), sign=trial.wait).submit()
    trial.running("sign", 6)
    nodes = f"--nodes={len(trial.cluster.nodes)}"
    urgent = ["sbatch", "--partition=urgent", nodes, "--exclusive", "--mem=0", "--output=/dev/null", "--wrap=sleep 2"]
    subprocess.run(urgent, check=True, capture_output=True, cwd=trial.directory)
    trial.until("preempted", lambda _: trial.restarts() >= 6)
    restarts = trial.restarts()
    trial.go.touch()
    trial.finished()
    return (
        f"{restarts} jobs were queued again, {trial.extra()} shards started anew; causes noted {dict(trial.retried())}"
    )


@fault
def preemption_without_grace(trial: Trial) -> str:
    """GraceTime 0: Slurm kills and queues again by itself."""
    return preempted(trial, "scavenge")


@fault
def preemption_with_grace(trial: Trial) -> str:
    """GraceTime 15 s: the job is told first, ends its shard and asks to be queued again."""
    return preempted(trial, "grace")


@fault
def one_shard_out_of_memory(trial: Trial) -> str:
    """A shard that needs 900 MB and asks for 200: twice, four, eight times as much by the supervisor."""
    run = trial.run(**{"sign": "finish", "left.1": "need 900"})
    run.submit()
    trial.finished()
    memory = [e["memory_mb"] for e in run.ledger.journal.read() if e["event"] == "retry" and "memory_mb" in e]
    assert memory == [400, 800, 1600], memory
    return "400, 800, 1600 MB; the third did"


@fault
def out_of_memory_at_the_cap(trial: Trial) -> str:
    """The same with a cap below what it needs: an end, with its cause."""
    trial.run(profile=profile(retry=Retry(max_memory_mb=500)), **{"left.1": "need 900"}).submit()
    states = trial.over()
    (failed,) = [state for state in states if state.state == "failed"]
    assert (failed.task_id, failed.shard, failed.cause) == ("left", 1, "out_of_memory"), failed
    assert [state.cause for state in states if state.task_id == "end"] == ["parent"]
    behave(trial.directory, {})
    trial.reopen().submit()
    trial.finished()
    return "tried with 400 and 500 MB, then failed; done after a person's submit"


@fault
def a_shard_raises(trial: Trial) -> str:
    """An error of the data is not tried again; what needs it is cancelled; submit goes on when it is put right."""
    trial.run(**{"left.2": "refuse"}).submit()
    states = trial.over()
    assert end_states(states) == {
        "sign": "finished",
        "left": "failed error",
        "right": "finished",
        "end": "cancelled parent",
    }
    assert "47 rows have no licence" in next(state.detail for state in states if state.cause == "error")
    assert len(attempts(trial.directory, "left", 2)) == 1, "an error was tried again"
    behave(trial.directory, {})
    made = trial.reopen().submit()
    assert made.shards == 2, made
    trial.finished()
    return "one attempt, its child cancelled; a submit ran the 2 that were left"


@fault
def parent_purged(trial: Trial) -> str:
    """Slurm has forgotten a failed parent, whose id it would now take for one that succeeded."""
    trial.run(**{"sign.0": "refuse"}).submit()
    trial.over()
    trial.forgotten()
    states, _ = trial.reopen().look()
    assert end_states(states)["sign"] == "failed error", end_states(states)
    trial.reopen().submit()
    assert trial.over() and attempts(trial.directory, "end", 0) == [], "a child ran without its parent"
    behave(trial.directory, {})
    trial.reopen().submit()
    trial.finished()
    return "no child ever ran before its parent was there"


@fault
def cancelled_by_hand(trial: Trial) -> str:
    """scancel of a running element and of a waiting task: nothing tries again behind one's back."""
    trial.run(sign=trial.wait).submit()
    # This very element: one that still waits has no process that could say how it ended.
    trial.until("sign.0 running", lambda states: states[0].state == "running" and bool(trial.ran(states[0])))
    states, _ = trial.reopen().look()
    jobs = [state.job_id for state in states if (state.task_id, state.shard) in {("sign", 0), ("right", 0)}]
    subprocess.run(["scancel", *jobs], check=True)
    behave(trial.directory, {})
    trial.until("cancelled", lambda states: states[0].state == "cancelled")
    trial.go.touch()  # not before, or it may end well
    states = trial.over()
    assert states[0].cause == "cancelled", states[0]
    trial.reopen().submit()
    trial.finished()
    return f"cancelled stays cancelled until a person submits; {trial.extra()} attempts beyond the first"


@fault
def full_scratch(trial: Trial) -> str:
    """No file can grow beyond 4 kB on the node."""
    settings = Settings(setup=("ulimit -f 4",))
    trial.run(
        profile=profile(classes={"train": settings}),
        plan=make_plan(step("sign"), step("model", ["sign"], task_class="train")),
        model="large",
    ).submit()
    states = trial.over()
    (failed,) = [state for state in states if state.state == "failed"]
    assert failed.cause == "error" and failed.detail, failed
    make_run(trial.directory, trial.reopen().plan, {}, profile=profile()).submit()
    trial.finished()
    return f"failed: {failed.detail[:60]}"


@fault
def unwritable_log_folder(trial: Trial) -> str:
    """The folder of the logs is gone when the jobs start: Slurm fails them without a word."""
    run = trial.run(profile=profile(supervise=False, sbatch={"hold": ""}))
    run.submit()
    logs = trial.directory / "logs"
    shutil.move(logs, trial.directory / "logs-away")
    logs.write_text("a file")
    subprocess.run(["scontrol", "release", *{row.array for row in run.look()[1].live}], check=True)
    trial.until("failed", lambda states: states[0].state == "failed")
    states, _ = trial.reopen().look()
    assert "log" in states[0].detail, states[0]
    trial.over()
    logs.unlink()
    shutil.move(trial.directory / "logs-away", logs)
    make_run(trial.directory, run.plan, {}, profile=profile()).submit()
    trial.finished()
    return f"said: {states[0].detail[:70]}"


@fault
def array_over_the_limit(trial: Trial) -> str:
    """More shards than MaxArraySize: several arrays."""
    run = trial.run(make_plan(step("wide", shards=45), step("end", ["wide"])))
    made = run.submit()
    sizes = [len(one.elements) for one in made.submissions if one.task == "wide"]
    assert sizes == [20, 20, 5], sizes
    trial.finished()
    assert trial.extra() == 0
    return "arrays of 20, 20 and 5"


@fault
def impossible_request(trial: Trial) -> str:
    """Nine nodes where there are four: sbatch would let it wait for ever."""
    run = trial.run(make_plan(step("sign"), step("model", ["sign"], task_class="train", nodes=9)))
    (problem,) = run.check()
    assert "9 nodes" in str(problem), problem
    assert run.look()[1].live == []
    return "refused before anything was queued"


@fault
def one_rank_raises(trial: Trial) -> str:
    """One of four ranks on two nodes ends with an error; the others would wait for it until the time limit."""
    model = step("model", task_class="train", gpus=2, nodes=2, memory_mb=2000)
    trial.run(make_plan(model, step("end", ["model"])), model="rank 3").submit()
    trial.until("at work", lambda states: bool(trial.ran(states[0])))
    began = time.monotonic()
    states = trial.over()
    assert end_states(states) == {"model": "failed error", "end": "cancelled parent"}, end_states(states)
    assert "no data for rank 3" in states[0].detail, states[0].detail
    return f"all ranks ended within {time.monotonic() - began:.0f} s; the message is that rank's"


@fault
def no_accounting_at_all(trial: Trial) -> str:
    """A cluster without slurmdbd, which forgets a job after seconds: what the nodes wrote must do."""
    bare = Cluster(trial.directory.parent / "bare", Shape(settings={"MinJobAge": "2"}))
    with running(bare):
        trial.run(**{"left.2": "refuse", "sign": "sleep 2"}).submit()
        trial.over()
        trial.forgotten()
        states, snapshot = trial.reopen().look()
        assert not snapshot.accounting
        assert end_states(states)["left"] == "failed error", end_states(states)
        behave(trial.directory, {})
        trial.reopen().submit()
        trial.finished()
    return f"the cause of the failure is known, the rest ran; {trial.extra()} attempts beyond the first"


@fault
def time_limit_in_training(trial: Trial) -> str:
    """A stage that is longer than its jobs may be: it saves, is queued again, and its losses are the unbroken run's."""
    (place := trial.directory.parent / "corpus").mkdir()
    corpus = write_corpus(place)
    spec = long_training(corpus)
    plan = compile_experiment(spec, trial.directory, 1)
    unbroken = Workbench(trial.directory.parent / "unbroken", corpus)
    path = write_plan(plan, trial.directory, trial.directory, Profile())
    settings = Settings(minutes=2)  # of one minute only 15 s may be left, when Slurm tells so early
    run = SlurmRun(
        plan=plan,
        plan_path=path,
        store=Store(trial.directory / "store"),
        profile=profile(classes={"train": settings}),
        worker="tests.slurm.slow_training",
    )
    run.submit()
    end = time.monotonic() + 2 * PATIENCE_S
    while True:
        states, snapshot = run.look()
        if all(state.state == "finished" for state in states):
            break
        assert time.monotonic() < end and snapshot.live, states
        time.sleep(2)
    unbroken.run(plan, path)
    for task in plan.tasks:
        mine, theirs = run.store.find(task.fingerprint), unbroken.store.find(task.fingerprint)
        assert mine and theirs and mine.manifest["digest"] == theirs.manifest["digest"], task.id
    steps = [event["progress"] for event in run.ledger.journal.read() if event["event"] == "requeue"]
    assert steps, "the time limit was never reached"
    return f"queued again at step {', '.join(map(str, steps))}; every loss and weight is the unbroken run's"


def long_training(corpus: Path) -> Experiment:
    """The tests' small experiment with one stage only, of more steps than fit into a job."""
    whole = Mixture(parts=(Part(dataset="code", weight=1, max_epochs=1000),))
    stage = Pretrain(
        name="pretrain",
        mixture=whole,
        batches=(Batches(steps=LONG_STEPS, global_batch=8, sequence_length=128),),
        schedule=WSD(peak=1e-2, warmup_steps=2),
        micro_batch=8,
    )
    experiment = tiny(corpus)
    return experiment.replace(curriculum=Curriculum(stages=(stage,)), instructions=(), evaluations=())


def end_states(states: Sequence[ShardState]) -> dict[str, str]:
    """The worst state of each task, with its cause."""
    found: dict[str, str] = {}
    for state in states:
        words = f"{state.state} {state.cause or ''}".strip()
        if found.get(state.task_id, "finished") == "finished":
            found[state.task_id] = words
    return found


def attempt(name: str, number: int, cluster: Cluster) -> str:
    """Try a fault in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="fault-", ignore_cleanup_errors=True) as directory:
        trial = Trial(Path(directory) / "run", cluster, random.Random(f"{name} {number}"))
        try:
            return FAULTS[name](trial)
        finally:
            cluster.start()
            if (trial.directory / "slurm" / "profile.json").exists():
                open_run(trial.directory).cancel()


def shape() -> Shape:
    """Four nodes, partitions that preempt one another, accounting, a short memory and small arrays."""
    settings = {"MinJobAge": "5", "MaxArraySize": "20"}
    return Shape(nodes=4, preemption=True, accounting=True, settings=settings)


def main() -> int:
    """Try each fault so many times and print the table."""
    parser = argparse.ArgumentParser(description="Break things on a real cluster and see what is lost.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FAULTS)}")
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    broken = 0
    with tempfile.TemporaryDirectory(prefix="cluster-") as directory, Cluster(Path(directory), shape()) as cluster:
        os.environ.update(cluster.environment, PYTHONPATH=str(ROOT))
        for name in arguments.names or FAULTS:
            held, said = 0, ""
            for number in range(arguments.times):
                try:
                    said = attempt(name, number, cluster)
                    held += 1
                except Exception:
                    traceback.print_exc()
            broken += held < arguments.times
            print(f"{held} of {arguments.times}  {name:<38} {said}", flush=True)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
