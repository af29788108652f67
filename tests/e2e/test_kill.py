"""kill -9 of drivers and workers at random moments. Nothing finished is repeated, nothing torn is accepted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.plan import Plan
from runtime.journal import Journal
from runtime.store import Store
from tests.runtime.conftest import Workbench, corpus, tiny

__all__ = ["corpus"]  # the fixture, for pytest
KILLS = 10
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
def reference(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Iterator[tuple[dict[str, str], float]]:
    """The digests of an unbroken run, and how long it took."""
    bench = Workbench(tmp_path_factory.mktemp("unbroken"), corpus)
    plan, path = bench.compile(resumable(corpus), shards=2)
    began = time.monotonic()
    driver = drive(path, bench.store.root)
    output, _ = driver.communicate(timeout=300)
    assert driver.returncode == 0, output.decode()
    yield finished_digests(plan, bench.store), time.monotonic() - began


def resumable(corpus: Path) -> object:
    """The tiny experiment with a checkpoint after every step."""
    experiment = tiny(corpus)
    stages = tuple(stage.replace(checkpoint_every=1) for stage in experiment.curriculum.stages)
    return experiment.replace(curriculum=experiment.curriculum.replace(stages=stages))


@pytest.mark.parametrize("victim", ["driver", "worker"])
def test_killed_at_ten_random_moments(
    tmp_path: Path, corpus: Path, reference: tuple[dict[str, str], float], victim: str
) -> None:
    """Ten kills, on as many stores as it takes; each ends with the digests of the unbroken run, no shard ran twice."""
    expected, seconds = reference
    chance = random.Random(victim)
    kills = 0
    for number in range(KILLS):
        bench = Workbench(tmp_path / str(number), corpus)
        bench.root.mkdir()
        plan, path = bench.compile(resumable(corpus), shards=2)
        landed = kill_until_over(path, bench.store.root, victim, KILLS - kills, seconds, chance)
        assert landed, "the first run of a store is over before a kill lands"
        kills += landed
        output, _ = (driver := drive(path, bench.store.root)).communicate(timeout=300)
        assert driver.returncode == 0, output.decode()
        assert finished_digests(plan, bench.store) == expected
        assert repeated(Journal(path.parent / "journal")) == []
        if kills == KILLS:
            return
    raise AssertionError(f"{kills} kills landed on {KILLS} stores")


def kill_until_over(path: Path, store: Path, victim: str, wanted: int, seconds: float, chance: random.Random) -> int:
    """Run and kill, again and again, until so many kills landed or a run came to its end; how many landed."""
    for landed in range(wanted):
        driver = drive(path, store)
        time.sleep(chance.uniform(0.5, max(1.0, seconds / (5 if victim == "driver" else 25))))
        outcome = kill(driver, victim, chance)
        driver.communicate(timeout=120)
        assert not [pid for pid in workers(driver.pid) if alive(pid)]
        if outcome == "over":
            return landed
    return wanted


def kill(driver: subprocess.Popen[bytes], victim: str, chance: random.Random) -> str:
    """kill -9 the driver, or one of its workers when it has one."""
    if driver.poll() is not None:
        return "over"
    if victim == "driver":
        os.kill(driver.pid, signal.SIGKILL)
        return "killed"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and driver.poll() is None:
        running = [pid for pid in workers(driver.pid) if alive(pid)]
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
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(finished_digests(plan, bench.store)) < 3:
        time.sleep(0.1)
    os.kill(driver.pid, signal.SIGINT)
    output, _ = driver.communicate(timeout=60)
    text = output.decode()
    assert driver.returncode == 130, text
    assert "run `ocspec submit` again" in text and "Traceback" not in text
    done = set(finished_digests(plan, bench.store))
    again = drive(path, bench.store.root)
    output, _ = again.communicate(timeout=300)
    assert again.returncode == 0, output.decode()
    assert set(finished_digests(plan, bench.store)) == {task.id for task in plan.tasks} > done
    assert repeated(Journal(path.parent / "journal")) == []
