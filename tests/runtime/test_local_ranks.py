"""Local training on several devices: a group of processes that succeeds or fails as one."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from compiler.plan import Plan
from ocspec import Batches, Parallelism
from runtime.dispatch.base import Job
from runtime.dispatch.local import LocalDispatcher
from runtime.dispatch.workers import Worker
from runtime.journal import Journal
from runtime.run import jobs
from runtime.store import Store
from tests.runtime.conftest import Workbench, tiny
from tests.runtime.held import held_python
from tests.runtime.test_local import drain


def on_two_devices(workbench: Workbench, steps: int = 6) -> tuple[Plan, Path, list[Job]]:
    """The tiny experiment with a first stage on two ranks, built up to it, and that stage's job."""
    experiment = tiny(workbench.corpus)
    pretrain, *rest = experiment.curriculum.stages
    batches = (Batches(steps=steps, global_batch=4, sequence_length=64),)
    split = pretrain.replace(parallelism=Parallelism(data=2), micro_batch=2, batches=batches)
    changed = experiment.replace(curriculum=experiment.curriculum.replace(stages=(split, *rest)))
    plan, path = workbench.compile(changed)
    workbench.run(plan, path, until="pretrain/mix")
    return plan, path, [job for job in jobs(plan, workbench.store) if job.task_id == "pretrain/train"]


def test_training_on_two_devices_is_two_processes(with_data: Workbench) -> None:
    """One shard, one artefact; each rank has a log, and rank 1 leaves nothing else."""
    plan, path, wanted = on_two_devices(with_data)
    dispatcher = LocalDispatcher(path, with_data.store.root, path.parent / "logs", cpus=2)
    dispatcher.submit(wanted)
    assert [(event.shard, event.state) for event in drain(dispatcher, 1)] == [(0, "running"), (0, "done")]
    artifact = with_data.store.find(plan.task("pretrain/train").fingerprint)
    assert artifact is not None
    assert json.loads((artifact.path / "log" / "environment.json").read_text())["ranks"] == 2
    mine = [e for e in Journal(path.parent / "journal").read() if e.get("task") == "pretrain/train"]
    assert [event["event"] for event in mine] == ["started", "finished", "published"]
    logs = path.parent / "logs" / "pretrain--train"
    assert sorted(str(log.relative_to(logs)) for log in logs.rglob("*.log")) == ["0.log", "0.ranks/1.log"]
    dispatcher = LocalDispatcher(path, with_data.store.root, path.parent / "logs", cpus=2)
    dispatcher.submit(wanted)  # nothing is left to do, which both have to be told
    assert drain(dispatcher, 1)[-1].state == "done"


@pytest.mark.slow
def test_two_ranks_that_are_stopped_end_as_two_that_are_not(with_data: Workbench, tmp_path: Path) -> None:
    """One of them is asked; both stop at the same step, and the dispatcher says how to go on."""
    plan, path, wanted = on_two_devices(with_data, steps=60)
    unbroken = Store(shutil.copytree(with_data.store.root, tmp_path / "unbroken"))
    progress = path.parent / "progress" / "pretrain--train.0.json"
    workers = {"train": Worker(python=str(held_python(gate := tmp_path / "gate", after=1)))}
    stopping = LocalDispatcher(path, with_data.store.root, tmp_path / "logs", cpus=2, workers=workers)
    stopping.submit(wanted)
    while not progress.exists():
        assert {event.state for event in stopping.poll()} <= {"running"}
    stopping._running[0].processes[1].send_signal(signal.SIGUSR2)
    gate.touch()
    ended = drain(stopping, 1)[-1]
    assert ended.state == "failed"
    assert "stopped on request after step" in ended.detail and "run again to go on" in ended.detail
    manifests = []
    for store in (with_data.store, unbroken):
        dispatcher = LocalDispatcher(path, store.root, tmp_path / "logs", cpus=2)
        dispatcher.submit(wanted)
        assert drain(dispatcher, 1)[-1].state == "done"
        artifact = store.find(plan.task("pretrain/train").fingerprint)
        assert artifact is not None
        manifests.append(artifact.manifest)
    assert manifests[0]["stats"]["resumed_from_step"] > 0 == manifests[1]["stats"]["resumed_from_step"]
    assert manifests[0]["digest"] == manifests[1]["digest"]


def test_a_rank_that_is_killed_ends_the_other(with_data: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even before they have met; the detail is of the one that ended first."""
    monkeypatch.setattr("runtime.dispatch.local.GRACE_SECONDS", 0.5)
    _, path, wanted = on_two_devices(with_data)
    dispatcher = LocalDispatcher(path, with_data.store.root, path.parent / "logs", cpus=2)
    dispatcher.submit(wanted)
    dispatcher.poll()
    first, second = dispatcher._running[0].processes
    second.kill()
    ended = drain(dispatcher, 1)[-1]
    assert (ended.state, first.returncode) == ("failed", -signal.SIGKILL)
    assert "killed by SIGKILL" in ended.detail
