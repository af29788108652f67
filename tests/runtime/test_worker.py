"""The worker: one shard from plan.json; what it says when things are wrong; the manifest that it leaves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from compiler import ir
from compiler.errors import UserError
from compiler.plan import Input, Plan, Task
from runtime import manifest, worker
from runtime.journal import Journal
from runtime.processes import start_of
from runtime.run import Summary
from runtime.task import Artifact
from tests.runtime.children import PATIENCE_S, wait_for
from tests.runtime.conftest import Workbench, tiny

Finished = tuple[Workbench, Plan, Path, Summary]


def run_worker(path: Path, task: str, store: Path, *extra: str) -> subprocess.CompletedProcess[str]:
    """A worker process."""
    command = [sys.executable, "-m", "runtime.worker", str(path), task, "0", "--store", str(store), *extra]
    return subprocess.run(command, capture_output=True, text=True, timeout=6000, check=False)


def test_a_worker_process_runs_a_shard(workbench: Workbench) -> None:
    """The command that a node runs, from a directory of its own."""
    plan, path = workbench.compile()
    done = run_worker(path, "code/sign", workbench.store.root)
    assert done.returncode == 0, done.stderr
    assert workbench.store.find(plan.task("code/sign").fingerprint) is not None


def test_a_worker_loads_neither_the_language_nor_torch(workbench: Workbench) -> None:
    """A data node needs no pydantic, no torch and no submitit."""
    _, path = workbench.compile()
    code = (
        "import sys; from runtime.worker import run_shard;"
        f"run_shard({str(path)!r}, 'code/sign', 0, {str(workbench.store.root)!r});"
        "print(sorted({'pydantic', 'torch', 'submitit', 'ocspec.base'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=6000, check=True)
    assert done.stdout.strip() == "[]"


def test_a_task_whose_inputs_are_not_built_says_so(workbench: Workbench) -> None:
    """One line, an exit code of its own, no traceback."""
    _, path = workbench.compile()
    done = run_worker(path, "code/refine", workbench.store.root)
    assert done.returncode == worker.EXIT_INPUT_MISSING
    assert done.stderr.startswith("error: code/refine needs code/deduplicate/cluster, which is not built")
    assert "Traceback" not in done.stderr


def test_an_orphan_ends_at_once(workbench: Workbench) -> None:
    """A worker whose driver is dead does not start."""
    _, path = workbench.compile()
    done = run_worker(path, "code/sign", workbench.store.root, "--parent", "1")
    assert done.returncode == 143
    assert not (workbench.store.root / "artifacts").exists()


def test_the_manifest_says_where_an_artefact_came_from(finished: Finished) -> None:
    """Pre-image, input digests, code version, timings and resources."""
    bench, plan, _, _ = finished
    artifact = bench.store.find(plan.task("code/refine").fingerprint)
    assert artifact is not None
    manifest = artifact.manifest
    assert manifest["inputs"]["kept"][0]["task"] == "code/deduplicate/cluster"
    assert len(manifest["inputs"]["kept"][0]["digest"]) == 64
    assert set(manifest["code"]) == {"ocspec", "commit", "python"}
    assert manifest["shards"][0]["seconds"] >= 0 and manifest["shards"][0]["peak_memory_mb"] > 10
    assert manifest["outputs"]["documents"]["rows"] == manifest["stats"]["kept"]
    assert manifest["preimage"][0] == "task"


def test_wall_clock_and_logs_do_not_enter_a_digest(finished: Finished, with_data: Workbench) -> None:
    """Another run at another time gives the same digest of training, though its timings differ."""
    bench, plan, _, _ = finished
    other, path = with_data.compile(tiny(with_data.corpus))
    assert with_data.run(other, path, until="pretrain/train").ran == ("pretrain/train",)
    first = bench.store.find(plan.task("pretrain/train").fingerprint)
    second = with_data.store.find(other.task("pretrain/train").fingerprint)
    assert first is not None and second is not None
    assert first.manifest["digest"] == second.manifest["digest"]
    timings = [(a.path / "log" / "timings.jsonl").read_text() for a in (first, second)]
    assert timings[0] != timings[1]


def test_lost_documents_are_noticed(finished: Finished) -> None:
    """A manifest whose counts do not add up is never written."""
    _, plan, _, _ = finished
    task = plan.task("code/deduplicate/cluster")
    empty = {name: {"kind": "files", "files": {}, "bytes": 0} for name in task.op.outputs}
    result = {"outputs": empty, "stats": {"in": 3, "kept": 1, "dropped": {"near": 1}}, "timing": {}}
    with pytest.raises(AssertionError, match="lost documents: 3 in, 1 kept"):
        manifest.manifest(plan, task, "k", [], {}, [result])


def test_what_one_shard_tells_in_words_stays_in_the_manifest(workbench: Workbench) -> None:
    """As which kernels a stage took, and why; numbers of several shards add up."""
    plan, _ = workbench.compile()
    task = plan.task("pretrain/train")
    outputs = {name: {"kind": "log", "files": {}, "bytes": 0} for name in task.op.outputs}

    def stats_of(*stats: dict[str, Any]) -> dict[str, Any]:
        results = [{"outputs": outputs, "stats": one, "timing": {}} for one in stats]
        return manifest.manifest(plan, task, "k", [], {}, results)["stats"]

    told = {"steps": 8, "kernels": {"chosen": "portable", "taken": ["a"], "reason": "no CUDA"}, "ended": None}
    assert stats_of(told) == told
    assert stats_of({"a": 1, "b": {"c": 2}}, {"a": 3, "b": {"d": 4}}) == {"a": 4, "b": {"c": 2, "d": 4}}


def test_the_journal_tells_what_happened(finished: Finished) -> None:
    """Every task was started, finished and published, once and in that order."""
    _, plan, path, _ = finished
    events = Journal(path.parent / "journal").read()
    for task in plan.tasks:
        mine = [event["event"] for event in events if event.get("task") == task.id]
        assert mine == ["started", "finished", "published"]


def test_a_line_cut_short_in_the_journal_is_left_out(tmp_path: Path) -> None:
    """A crash in the middle of a write loses that event and no other."""
    journal = Journal(tmp_path)
    journal.write("one")
    with next(tmp_path.glob("*.jsonl")).open("a") as file:
        file.write('{"time": 1, "ev')
    assert [event["event"] for event in journal.read()] == ["one"]


def test_a_failing_operator_leaves_its_reason_in_the_journal(with_data: Workbench) -> None:
    """The budget is larger than the data: the mix task says so with the numbers, and nothing is half written."""
    experiment = tiny(with_data.corpus)
    pretrain, *rest = experiment.curriculum.stages
    batches = tuple(b.replace(steps=5000) for b in pretrain.batches)
    greedy = pretrain.replace(batches=batches)
    changed = experiment.replace(curriculum=experiment.curriculum.replace(stages=(greedy, *rest)))
    plan, path = with_data.compile(changed)
    summary = with_data.run(plan, path, until="pretrain/mix")
    assert summary.failed == ("pretrain/mix",)
    assert "'code'" in summary.errors[0] or "code" in summary.errors[0]
    failed = [e for e in Journal(path.parent / "journal").read() if e["event"] == "failed"]
    assert failed and failed[0]["task"] == "pretrain/mix" and "20,000" in summary.errors[0].replace("20000", "20,000")
    assert with_data.store.find(plan.task("pretrain/mix").fingerprint) is None


def test_progress_is_written_for_the_driver(finished: Finished) -> None:
    """Training reports its steps."""
    _, _, path, _ = finished
    written = json.loads((path.parent / "progress" / "pretrain--train.0.json").read_text())
    assert written["done"] == written["total"] == 6


def test_a_missing_task_class_is_not_needed(finished: Finished) -> None:
    """Execution fields of a plan may change without touching what is built."""
    bench, plan, path, _ = finished
    moved = attrs.evolve(
        plan, tasks=tuple(attrs.evolve(t, resources=attrs.evolve(t.resources, cpus=1)) for t in plan.tasks)
    )
    assert bench.run(moved, path).ran == ()


def test_no_space_is_one_message(workbench: Workbench) -> None:
    """A file-size limit stands for a full disk: one message, exit 1, nothing taken for finished."""
    plan, path = workbench.compile()
    code = (
        "import errno, sys; from runtime import worker;"
        "worker._work = lambda *a: (_ for _ in ()).throw(OSError(errno.ENOSPC, 'No space left on device'));"
        f"sys.argv = ['w', {str(path)!r}, 'code/sign', '0', '--store', {str(workbench.store.root)!r}];"
        "sys.exit(worker.main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no space left for code/sign")
    assert workbench.store.find(plan.task("code/sign").fingerprint) is None


STUCK = """
import functools, subprocess, sys, time
from runtime import store, worker
worker.Store = functools.partial(store.Store, renew_s=0.05)
def stuck(*arguments):
    child = subprocess.Popen(["sleep", "600"])
    print(child.pid, flush=True)
    time.sleep(600)
worker._work = stuck
sys.argv = ["w", {plan!r}, "code/sign", "0", "--store", {store!r}]
sys.exit(worker.main())
"""


def test_a_worker_that_lost_its_shard_ends_with_all_that_it_started(workbench: Workbench) -> None:
    """At once, whatever it is at: exit code 76, one message, one event, which is no failure."""
    _, path = workbench.compile()
    code = STUCK.format(plan=str(path), store=str(workbench.store.root))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as loser:
        assert loser.stdout is not None and loser.stderr is not None
        child = int(loser.stdout.readline())
        (lease,) = (workbench.store.root / "locks").glob("*/0.lease")
        (lease / "2").write_text("{}")
        assert loser.wait(PATIENCE_S) == 76
        said = loser.stderr.read()
    assert said.startswith("error: code/sign shard 0: ") and "lost 0.lease to another process" in said
    assert "Traceback" not in said
    wait_for(lambda: start_of(child) is None)
    events = [event["event"] for event in Journal(path.parent / "journal").read()]
    assert events == ["started", "lease_lost"]


def test_a_missing_input_raises_a_user_error(workbench: Workbench) -> None:
    """The same from Python."""
    _, path = workbench.compile()
    with pytest.raises(UserError, match="is not built"):
        worker.run_shard(str(path), "code/hold-out", 0, str(workbench.store.root))


def test_a_shard_is_called_finished_only_when_it_is_in_its_place(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the work and the rename, the journal does not say finished: the shard will run again."""
    _, path = workbench.compile()

    def killed(root: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("runtime.store.sync_tree", killed)
    with pytest.raises(KeyboardInterrupt):
        worker.run_shard(str(path), "code/sign", 0, str(workbench.store.root))
    events = [event["event"] for event in Journal(path.parent / "journal").read()]
    assert "started" in events and "finished" not in events


def test_a_step_given_other_documents_than_the_step_before_kept_is_refused(tmp_path: Path) -> None:
    """As when the source changed between the two readings. Where chunks are counted, documents are compared."""
    left = Artifact(path=tmp_path, task_id="code/sign", manifest={"stats": {"in": 9, "kept": 5}})
    parts = {"stats": {"in": 20, "kept": 9, "documents": {"in": 5, "kept": 4}}}
    shortened = Artifact(path=tmp_path, task_id="code/deduplicate/cluster", manifest=parts)
    refine = Task(
        id="code/refine", op=ir.Refine(dataset="code", readers=()), inputs=(Input(role="kept", task="code/sign"),)
    )
    manifest.check_chain(refine, {"kept": (left,)}, {"in": 5, "kept": 5})
    manifest.check_chain(refine, {"kept": (shortened,)}, {"in": 4, "kept": 4})
    for before in (left, shortened):
        with pytest.raises(UserError, match=r"code/refine was given 3 documents, but .* let \d through") as caught:
            manifest.check_chain(refine, {"kept": (before,)}, {"in": 3, "kept": 3})
        assert "the sources changed" in caught.value.fix


def test_documents_that_disappear_between_the_two_readings_are_missed(tmp_path: Path, corpus: Path) -> None:
    """sign saw the last ones and refine does not: the artefact is not published."""
    copy = shutil.copytree(corpus, tmp_path / "corpus")
    bench = Workbench(tmp_path, copy)
    plan, path = bench.compile()
    bench.run(plan, path, until="code/deduplicate/cluster")
    for name in ("shlex", "string", "textwrap"):
        (copy / "text-fork" / f"{name}.py").unlink()
    done = run_worker(path, "code/refine", bench.store.root)
    assert done.returncode == 1
    assert "code/refine was given 18 documents, but code/deduplicate/cluster let 20 through" in done.stderr
    assert bench.store.find(plan.task("code/refine").fingerprint) is None
