"""Local dispatch: processes within the machine's processors, dependencies, failures, cancelling."""

from __future__ import annotations

import os
import time
from pathlib import Path

from runtime.dispatch.base import Event, Job
from runtime.dispatch.local import LocalDispatcher
from runtime.dispatch.workers import Worker
from runtime.journal import Journal
from runtime.run import jobs
from tests.runtime.children import wait_for
from tests.runtime.conftest import Workbench
from tests.runtime.held import held_python


def drain(dispatcher: LocalDispatcher, count: int, seconds: float = 600) -> list[Event]:
    """Poll until so many shards have ended."""
    events: list[Event] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        events += dispatcher.poll()
        if sum(event.state in {"done", "failed", "cancelled"} for event in events) >= count:
            return events
    raise AssertionError(f"timed out with {events}")


def test_shards_run_as_processes_and_children_wait_for_parents(workbench: Workbench) -> None:
    """sign in two shards, then hold-out; the store has both."""
    plan, path = workbench.compile(shards=2)
    wanted = [job for job in jobs(plan, workbench.store) if job.task_id in {"code/sign", "code/hold-out"}]
    dispatcher = LocalDispatcher(path, workbench.store.root, path.parent / "logs", cpus=2)
    dispatcher.submit(wanted)
    events = drain(dispatcher, 3)
    order = [(event.task_id, event.state) for event in events]
    assert order.index(("code/hold-out", "running")) > max(i for i, o in enumerate(order) if o == ("code/sign", "done"))
    assert workbench.store.find(plan.task("code/hold-out").fingerprint) is not None


def test_a_failed_task_cancels_those_below_it_and_no_others(workbench: Workbench) -> None:
    """The message of the worker is the detail of the event."""
    _, path = workbench.compile()
    dispatcher = LocalDispatcher(path, workbench.store.root, path.parent / "logs", cpus=2)
    dispatcher.submit(
        [
            Job(task_id="code/refine", shards=(0,)),
            Job(task_id="code/encode", shards=(0,), depends_on=("code/refine",)),
            Job(task_id="code/sign", shards=(0,)),
        ]
    )
    final = {event.task_id: event for event in drain(dispatcher, 3) if event.state != "running"}
    assert final["code/refine"].state == "failed"
    assert final["code/refine"].detail.startswith("code/refine needs code/deduplicate/cluster, which is not built")
    assert final["code/encode"].state == "cancelled"
    assert final["code/sign"].state == "done"


def test_a_worker_that_lost_its_shard_is_followed_by_one_that_waits(workbench: Workbench) -> None:
    """Another process takes the shard over and gives it up again; then it is done here, and nothing has failed."""
    plan, path = workbench.compile()
    journal, locks = Journal(path.parent / "journal"), workbench.store.root / "locks"
    workers = {"data": Worker(python=str(held_python(gate := path.parent / "gate")))}
    dispatcher = LocalDispatcher(path, workbench.store.root, path.parent / "logs", cpus=2, workers=workers)
    dispatcher.submit([Job(task_id="code/sign", shards=(0,))])
    dispatcher.poll()
    wait_for(lambda: list(locks.glob("*/0.lease/1")))
    (other,) = (lease / "2" for lease in locks.glob("*/0.lease"))
    other.write_text("{}")
    gate.touch()
    while not (lost := [event for event in journal.read() if event["event"] == "lease_lost"]):
        assert [event.state for event in dispatcher.poll()] in ([], ["running"])
    os.truncate(other, 0)
    assert [event.state for event in drain(dispatcher, 1)][-1] == "done"
    assert [event["event"] for event in journal.read()] == ["started", "lease_lost", "started", "finished", "published"]
    assert len(lost) == 1 and workbench.store.find(plan.task("code/sign").fingerprint) is not None


def test_cancel_leaves_no_process(workbench: Workbench) -> None:
    """Workers are gone when cancel returns."""
    _, path = workbench.compile()
    dispatcher = LocalDispatcher(path, workbench.store.root, path.parent / "logs", cpus=2)
    dispatcher.submit([Job(task_id="code/sign", shards=(0,))])
    assert [event.state for event in dispatcher.poll()] == ["running"]
    (process,) = dispatcher._running[0].processes
    dispatcher.cancel()
    assert process.poll() is not None
    assert dispatcher.poll() == []


def test_a_job_larger_than_the_machine_still_runs(workbench: Workbench, tmp_path: Path) -> None:
    """64 processors asked for, one there."""
    _, path = workbench.compile()
    dispatcher = LocalDispatcher(path, workbench.store.root, tmp_path / "logs", cpus=1)
    dispatcher.submit([Job(task_id="code/sign", shards=(0,), cpus=64)])
    assert [e.state for e in drain(dispatcher, 1)][-1] == "done"
