"""kill -9 of drivers and workers at random moments. Nothing finished is repeated, nothing torn is accepted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from compiler.plan import Plan
from runtime.journal import Journal
from runtime.store import Store
from tests.runtime.children import wait_for
from tests.runtime.conftest import Workbench, corpus, tiny

__all__ = ["corpus"]  # the fixture, for pytest
KILLS = 10
EVENTS = 8  # before a kill, at most, of the 91 that a whole run notes: ten kills leave something to do
pytestmark = pytest.mark.slow


def drive(path: Path, store: Path) -> subprocess.Popen[bytes]:
    """`ocspec submit` as a user runs it."""
    command = [sys.executable, "-m", "ocspec.cli", "submit", str(path), "--store", str(store)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


def workers(driver: int) -> list[int]:
    """Process ids of the driver's workers."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == driver:
                found.append(int(entry.name))
        except (OSError, IndexError):
            continue
    return found


def finished_digests(plan: Plan, store: Store) -> dict[str, str]:
    """The content digest of every finished task."""
    found = {task.id: store.find(task.fingerprint) for task in plan.tasks}
    return {task_id: artifact.manifest["digest"] for task_id, artifact in found.items() if artifact}


def repeated(journal: Journal) -> list[tuple[str, int]]:
    """Shards that were started again after they had finished."""
    done: set[tuple[str, int]] = set()
    again = []
    for event in journal.read():
        place = (event.get("task", ""), event.get("shard", -1))
        if event["event"] == "started" and place in done:
            again.append(place)
        if event["event"] == "finished":
            done.add(place)
    return again


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> dict[str, str]:
    """The digests of an unbroken run."""
    bench = Workbench(tmp_path_factory.mktemp("unbroken"), corpus)
    plan, path = bench.compile(resumable(corpus), shards=2)
    driver = drive(path, bench.store.root)
    output, _ = driver.communicate(timeout=1800)
    assert driver.returncode == 0, output.decode()
    return finished_digests(plan, bench.store)


def resumable(corpus: Path) -> object:
    """The tiny experiment with a checkpoint after every step."""
    experiment = tiny(corpus)
    stages = tuple(stage.replace(checkpoint_every=1) for stage in experiment.curriculum.stages)
    return experiment.replace(curriculum=experiment.curriculum.replace(stages=stages))


@pytest.mark.parametrize("victim", ["driver", "worker"])
def test_killed_at_ten_random_moments(tmp_path: Path, corpus: Path, reference: dict[str, str], victim: str) -> None:
    """Ten kills, on as many stores as it takes; each ends with the digests of the unbroken run, no shard ran twice."""
    chance = random.Random(victim)
    kills = 0
    for number in range(KILLS):
        bench = Workbench(tmp_path / str(number), corpus)
        bench.root.mkdir()
        plan, path = bench.compile(resumable(corpus), shards=2)
        landed = kill_until_over(path, bench.store.root, victim, KILLS - kills, chance)
        assert landed, "the first run of a store is over before a kill lands"
        kills += landed
        output, _ = (driver := drive(path, bench.store.root)).communicate(timeout=1800)
        assert driver.returncode == 0, output.decode()
        assert finished_digests(plan, bench.store) == reference
        assert repeated(Journal(path.parent / "journal")) == []
        if kills == KILLS:
            return
    raise AssertionError(f"{kills} kills landed on {KILLS} stores")


def kill_until_over(path: Path, store: Path, victim: str, wanted: int, chance: random.Random) -> int:
    """Run and kill, again and again, until so many kills landed or a run came to its end; how many landed."""
    journal = Journal(path.parent / "journal")
    for landed in range(wanted):
        driver = drive(path, store)
        await_a_moment(driver, journal, chance)
        running = workers(driver.pid)
        outcome = kill(driver, victim, chance)
        driver.communicate(timeout=600)
        wait_for(lambda: not any(map(alive, running)))  # noqa: B023
        if outcome == "over":
            return landed
    return wanted


def await_a_moment(driver: subprocess.Popen[bytes], journal: Journal, chance: random.Random) -> None:
    """Until a run has noted a random number of things, and then somewhat longer: its own clock, on any machine.

    One noted thing is the run's begin, the next ones are of its first tasks.
    """
    wanted = len(journal.read()) + chance.randrange(EVENTS)
    while driver.poll() is None and len(journal.read()) < wanted:
        time.sleep(0.01)
    time.sleep(chance.uniform(0, 0.5))


def kill(driver: subprocess.Popen[bytes], victim: str, chance: random.Random) -> str:
    """kill -9 the driver, or one of its workers when it has one."""
    if driver.poll() is not None:
        return "over"
    if victim == "driver":
        os.kill(driver.pid, signal.SIGKILL)
        return "killed"
    while driver.poll() is None:
        running = [pid for pid in workers(driver.pid) if alive(pid)]
        with suppress(ProcessLookupError):  # it ended meanwhile
            if running:
                os.kill(chance.choice(running), signal.SIGKILL)
                return "killed"
        time.sleep(0.01)
    return "over"


def alive(pid: int) -> bool:
    """Whether a process still runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(tmp_path: Path, corpus: Path) -> None:
    """SIGINT: exit 130, one message, no worker left; then the rest runs."""
    bench = Workbench(tmp_path, corpus)
    plan, path = bench.compile(resumable(corpus), shards=2)
    driver = drive(path, bench.store.root)
    wait_for(lambda: len(finished_digests(plan, bench.store)) >= 3, timeout=600)
    os.kill(driver.pid, signal.SIGINT)
    output, _ = driver.communicate(timeout=600)
    text = output.decode()
    assert driver.returncode == 130, text
    assert "run `ocspec submit` again" in text and "Traceback" not in text
    done = set(finished_digests(plan, bench.store))
    again = drive(path, bench.store.root)
    output, _ = again.communicate(timeout=1800)
    assert again.returncode == 0, output.decode()
    assert set(finished_digests(plan, bench.store)) == {task.id for task in plan.tasks} > done
    assert repeated(Journal(path.parent / "journal")) == []
