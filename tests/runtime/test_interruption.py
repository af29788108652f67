"""Asked to stop, training saves where it is; the next attempt ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from compiler.plan import Plan
from ocspec import Batches, Experiment
from runtime import interruption
from runtime.journal import Journal
from runtime.store import Store
from runtime.worker import gather, task_key
from tests.runtime.children import PATIENCE_S
from tests.runtime.conftest import Workbench, tiny
from tests.runtime.held import held_python

TASK = "pretrain/train"
STEPS = 60

LISTENER = """
import sys, time
from runtime import interruption
{first}
interruption.listen()
print("ready", flush=True)
deadline = time.monotonic() + 60
while not interruption.requested() and time.monotonic() < deadline:
    time.sleep(0.01)
sys.exit(interruption.EXIT_CODE if interruption.requested() else 1)
"""


def listener(first: str = "") -> subprocess.Popen[bytes]:
    """A process that waits to be asked."""
    return subprocess.Popen([sys.executable, "-c", LISTENER.format(first=first)], stdout=subprocess.PIPE)


@pytest.mark.parametrize("number", interruption.STOP_SIGNALS)
def test_a_signal_is_noted_and_nothing_else_happens(number: signal.Signals) -> None:
    """More than once too."""
    with listener() as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == interruption.EXIT_CODE


def test_a_signal_before_anyone_listens_is_not_lost_if_the_parent_blocked_it() -> None:
    """The mask is inherited; `listen`, which waits until there is one, lets in what came in between."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        process = listener("import signal\nwhile not signal.sigpending(): time.sleep(0.01)")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})
    with process:
        process.send_signal(signal.SIGUSR2)
        assert process.wait(PATIENCE_S) == interruption.EXIT_CODE


def test_a_signal_that_is_disregarded_passes_by_here_and_in_children() -> None:
    """Slurm sends it to every process of a step, also to those that a data worker starts."""
    code = "import signal; from runtime import interruption; interruption.disregard(signal.SIGUSR2);"
    code += "import os, subprocess, sys; os.kill(os.getpid(), signal.SIGUSR2);"
    code += "child = 'import os, signal; os.kill(os.getpid(), signal.SIGUSR2)';"
    code += "sys.exit(subprocess.run([sys.executable, '-c', child]).returncode or int(interruption.requested()))"
    assert subprocess.run([sys.executable, "-c", code], timeout=600, check=False).returncode == 0


def longer(corpus: Path) -> Experiment:
    """The tiny experiment with a first stage that lasts long enough to be met by a signal."""
    experiment = tiny(corpus)
    pretrain, *rest = experiment.curriculum.stages
    batches = (Batches(steps=STEPS, global_batch=4, sequence_length=64),)
    changed = pretrain.replace(batches=batches)
    return experiment.replace(curriculum=experiment.curriculum.replace(stages=(changed, *rest)))


Built = tuple[Plan, Path, Store]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, corpus: Path, data_store: Path) -> Workbench:
    """A directory of this module's own, with the data of the tiny experiment."""
    bench = Workbench(tmp_path_factory.mktemp("built"), corpus)
    shutil.copytree(data_store, bench.store.root)
    return bench


@pytest.fixture(scope="module")
def built(bench: Workbench) -> Built:
    """A store with all that the stage reads."""
    plan, path = bench.compile(longer(bench.corpus))
    bench.run(plan, path, until="pretrain/mix")
    return plan, path, bench.store


@pytest.fixture(scope="module")
def unbroken(bench: Workbench, built: Built) -> tuple[str, bytes]:
    """The stage's digest and metrics after a run without a stop, in this process and in another store."""
    plan, path, store = built
    other = Store(store.root.with_name("unbroken"))
    shutil.copytree(store.root, other.root)
    bench.run(plan, path, until=TASK, store=other)
    artifact = other.find(plan.task(TASK).fingerprint)
    assert artifact is not None
    return artifact.manifest["digest"], (artifact.path / "metrics" / "metrics.jsonl").read_bytes()


@pytest.fixture
def copied(built: Built, tmp_path: Path) -> Callable[[str], Built]:
    """Copies of that store, with a plan of their own beside them."""

    def copy(name: str) -> Built:
        plan, path, store = built
        shutil.copytree(store.root, tmp_path / name / "store")
        shutil.copytree(path.parent, tmp_path / name / "plan", ignore=shutil.ignore_patterns("journal", "progress"))
        return plan, tmp_path / name / "plan" / path.name, Store(tmp_path / name / "store")

    return copy


def start(bench: Built, python: str | Path = sys.executable) -> subprocess.Popen[str]:
    """A worker of the stage; a signal that comes before it listens waits."""
    _, path, store = bench
    command = [str(python), "-m", "runtime.worker", str(path), TASK, "0", "--store", str(store.root)]
    signal.pthread_sigmask(signal.SIG_BLOCK, interruption.STOP_SIGNALS)
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, interruption.STOP_SIGNALS)


def metrics(bench: Built) -> Path:
    """The file that grows by a line with each step."""
    plan, _, store = bench
    task = plan.task(TASK)
    key, _ = task_key(task, gather(task, plan, store))
    return store.root / "work" / key / "resume-0" / "metrics.jsonl"


def interrupt(bench: Built, lines: int, number: signal.Signals = signal.SIGUSR2) -> list[dict[str, object]]:
    """Run a worker, and send it a signal twice when so many steps are logged; the journal's new events.

    After one step more it waits for that, so that it never comes to its end before.
    """
    _, path, _ = bench
    before = len(Journal(path.parent / "journal").read())
    log, gate = metrics(bench), path.parent / "gate"
    gate.unlink(missing_ok=True)
    with start(bench, held_python(gate, after=lines)) as worker:
        while worker.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") >= lines):
            time.sleep(0.002)
        worker.send_signal(number)
        worker.send_signal(signal.SIGUSR2)
        gate.touch()
        said = worker.communicate(timeout=600)[0]
    assert worker.returncode == interruption.EXIT_CODE, said
    assert "run again to go on" in said
    return Journal(path.parent / "journal").read()[before:]


def finish(bench: Built) -> tuple[str, bytes, int]:
    """Run a worker to the end: the artefact's digest, its metrics, and the step that it went on from."""
    plan, _, store = bench
    with start(bench) as worker:
        said = worker.communicate(timeout=600)[0]
    assert worker.returncode == 0, said
    artifact = store.find(plan.task(TASK).fingerprint)
    assert artifact is not None
    stats = artifact.manifest["stats"]
    return (
        artifact.manifest["digest"],
        (artifact.path / "metrics" / "metrics.jsonl").read_bytes(),
        stats["resumed_from_step"],
    )


def test_a_worker_that_is_asked_to_stop_goes_on_to_the_same_artefact(
    copied: Callable[[str], Built], unbroken: tuple[str, bytes]
) -> None:
    """By a second signal while it saves too; nothing but the state is left, and no checkpoint was asked for."""
    stopped = copied("stopped")
    events = interrupt(stopped, lines=5)
    assert [event["event"] for event in events] == ["started", "interrupted"]
    step = events[-1]["step"]
    assert isinstance(step, int) and 5 <= step < STEPS
    left = sorted(path.name for path in metrics(stopped).parent.iterdir())
    assert left == ["metrics.jsonl", f"step-{step:010d}", "timings.jsonl"]
    assert len(metrics(stopped).read_bytes().splitlines()) == step
    assert not list(stopped[2].root.glob("work/*/1/0*/**/out"))
    progress = json.loads((stopped[1].parent / "progress" / "pretrain--train.0.json").read_text())
    assert progress["total"] == STEPS
    digest, lines, first = finish(stopped)
    assert first == step
    assert (digest, lines) == unbroken


def test_a_worker_that_is_asked_before_it_trains_stops_before_the_first_step(copied: Callable[[str], Built]) -> None:
    """There is nothing to save."""
    bench = copied("early")
    gate = bench[1].parent / "gate"
    with start(bench, held_python(gate)) as worker:
        while not any(event.get("task") == TASK for event in Journal(bench[1].parent / "journal").read()):
            assert worker.poll() is None
            time.sleep(0.01)
        worker.send_signal(signal.SIGTERM)
        gate.touch()
        said = worker.communicate(timeout=600)[0]
    assert worker.returncode == interruption.EXIT_CODE, said
    assert not list(metrics(bench).parent.glob("step-*"))


def test_a_data_worker_lets_the_signal_pass(workbench: Workbench) -> None:
    """It has no state to save, and may be done before its time is over."""
    plan, path = workbench.compile()
    command = [
        sys.executable,
        "-m",
        "runtime.worker",
        str(path),
        "code/sign",
        "0",
        "--store",
        str(workbench.store.root),
    ]
    quiet = lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # noqa: E731  # as whoever sends it starts a worker
    with subprocess.Popen(command, preexec_fn=quiet) as worker:  # noqa: PLW1509  # no threads here
        while worker.poll() is None:
            worker.send_signal(signal.SIGUSR2)
            time.sleep(0.02)
    assert worker.returncode == 0
    assert workbench.store.find(plan.task("code/sign").fingerprint) is not None


@pytest.mark.slow
@pytest.mark.parametrize("number", interruption.STOP_SIGNALS)
def test_a_worker_that_is_stopped_at_random_moments_ends_the_same(
    copied: Callable[[str], Built], unbroken: tuple[str, bytes], number: signal.Signals
) -> None:
    """Five times, also while it starts."""
    stopped, chance = copied("stopped"), random.Random(os.getpid())
    for _ in range(5):
        done = metrics(stopped).read_bytes().count(b"\n") if metrics(stopped).exists() else 0
        interrupt(stopped, lines=min(done + chance.randrange(9), STEPS - 20), number=number)
    assert finish(stopped)[:2] == unbroken
