"""Running whole plans in this process: what runs, what is reused, what is refused."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from compiler import canonical
from compiler import plan as plans
from compiler.diff import diff_plans
from compiler.errors import UserError
from compiler.plan import Plan
from ocspec import Declared, Deduplicate, Experiment, HumanEval, JsonLines, PretrainedTokenizer
from runtime.journal import Journal
from runtime.run import Summary, made_here, moved_sources, refuse, to_run
from runtime.store import Store
from tests.runtime.conftest import Workbench, tiny

DATA_CLASSES = {"fetch", "data", "group"}
Finished = tuple[Workbench, Plan, Path, Summary]


def digests(plan: Plan, store: Store, classes: set[str]) -> dict[str, str]:
    """Content digests of the finished tasks of some classes."""
    found = {t.id: store.find(t.fingerprint) for t in plan.tasks if t.resources.task_class in classes}
    return {task_id: artifact.manifest["digest"] for task_id, artifact in found.items() if artifact}


def by_repository(experiment: Experiment) -> Experiment:
    """The same experiment, deduplicated by repository."""
    code, chosen = experiment.data
    steps = tuple(s.replace(granularity="repository") if isinstance(s, Deduplicate) else s for s in code.steps)
    return experiment.replace(data=(code.replace(steps=steps), chosen))


def test_every_task_of_the_tiny_experiment_runs(finished: Finished) -> None:
    """A fresh store: all tasks run, none fails."""
    _, plan, _, summary = finished
    assert set(summary.ran) == {task.id for task in plan.tasks}
    assert summary.errors == ()


def test_running_again_runs_nothing(finished: Finished) -> None:
    """The store decides: a second run reuses all."""
    bench, plan, path, _ = finished
    again = bench.run(plan, path)
    assert again.ran == () and set(again.reused) == {task.id for task in plan.tasks}


def test_every_step_keeps_or_drops_each_document(finished: Finished) -> None:
    """in = kept + dropped at each step, and each step's input is the step before's output."""
    bench, plan, _, _ = finished
    chain = ["code/sign", "code/hold-out", "code/deduplicate/cluster", "code/refine", "code/downsample"]
    stats = {}
    for task_id in chain:
        artifact = bench.store.find(plan.task(task_id).fingerprint)
        assert artifact is not None
        stats[task_id] = artifact.manifest["stats"]
        dropped = sum(stats[task_id]["dropped"].values())
        assert stats[task_id]["in"] == stats[task_id]["kept"] + dropped
        assert artifact.manifest["outputs"]["dropped"]["rows"] == dropped
    for before, after in pairwise(chain):
        assert stats[before]["kept"] == stats[after]["in"]
    assert stats["code/sign"]["dropped"] == {"undecodable": 1, "unknown_language": 1}
    assert stats["code/hold-out"]["dropped"] == {"held_out_exact": 2}  # textwrap in text and in its fork
    assert stats["code/deduplicate/cluster"]["dropped"] == {"exact_duplicate": 2, "near_duplicate": 1}


def test_held_out_text_is_in_no_training_data(finished: Finished) -> None:
    """No encoded document and no instruction pair comes from a held-out repository or is a twin of its files."""
    import pyarrow.parquet as pq

    bench, plan, _, _ = finished
    for task_id, output, column in (
        ("code/encode", "tokens", "doc_id"),
        ("instructions/functions", "pairs", "pair_id"),
    ):
        artifact = bench.store.find(plan.task(task_id).fingerprint)
        assert artifact is not None
        ids = [i for file in artifact.files(output) for i in pq.read_table(file).column(column).to_pylist()]
        assert ids
        assert not [i for i in ids if "/held/" in i or "textwrap" in i]


@pytest.mark.parametrize("shards", [2, 7, pytest.param(64, marks=pytest.mark.slow)])
def test_data_does_not_depend_on_the_number_of_shards(finished: Finished, workbench: Workbench, shards: int) -> None:
    """The same content digests for every data artefact, whatever the shards."""
    bench, plan, _, _ = finished
    other, path = workbench.compile(shards=shards)
    assert max(task.shards for task in other.tasks) == shards
    workbench.run(other, path, until="anneal/mix")
    workbench.run(other, path, until="sft/mix")
    mine = digests(other, workbench.store, DATA_CLASSES)
    assert len(mine) > 12
    theirs = digests(plan, bench.store, DATA_CLASSES)
    assert {task: theirs[task] for task in mine} == mine


def test_a_run_after_a_diff_runs_exactly_the_tasks_that_the_diff_named(finished: Finished) -> None:
    """File against repository: one change; what ran or was cut off is what the diff named."""
    bench, plan, _, _ = finished
    other, path = bench.compile(by_repository(tiny(bench.corpus)).replace(name="by_repository"))
    diff = diff_plans(plan, other)
    assert [change.path for change in diff.changes] == ["data.code.steps.deduplicate.granularity"]
    summary = bench.run(other, path)
    assert set(summary.ran) | set(summary.cut_off) == set(diff.ids("rebuild", "new", "may cut off"))
    assert set(diff.ids("rebuild", "new")) <= set(summary.ran)
    assert set(summary.reused) == set(diff.ids("reuse"))


def test_equal_bytes_upstream_stop_a_rebuild(finished: Finished) -> None:
    """Early cut-off: a cap that caps nothing rewrites the selection to the same rows, and nothing after it runs."""
    bench, _, path, _ = finished
    experiment = tiny(bench.corpus)
    code, chosen = experiment.data
    downsample = code.steps[-1].replace(caps={"python": 600_000, "cobol": 1})
    changed = experiment.replace(name="cut", data=(code.replace(steps=(*code.steps[:-1], downsample)), chosen))
    other, path = bench.compile(changed)
    summary = bench.run(other, path)
    assert summary.ran == ("code/downsample",)
    assert "pretrain/train" in summary.cut_off


def test_the_key_of_an_artefact_is_the_hash_of_its_stored_pre_image(finished: Finished) -> None:
    """The manifest holds the pre-image itself, complete by construction."""
    bench, plan, _, _ = finished
    for task in plan.tasks:
        artifact = bench.store.find(task.fingerprint)
        assert artifact is not None
        assert canonical.fingerprint(artifact.manifest["preimage"]) == artifact.path.name
        assert canonical.fingerprint(artifact.manifest["plan_preimage"]) == task.fingerprint


def test_an_operator_without_a_runtime_is_refused_by_name(workbench: Workbench) -> None:
    """It compiles; submit says which operator and which tasks."""
    experiment = tiny(workbench.corpus)
    plan, _ = workbench.compile(experiment.replace(evaluations=(HumanEval(),)))
    with pytest.raises(UserError, match=r"eval\.benchmark has no runtime.*humaneval"):
        refuse(plan, workbench.root, workbench.store)


def test_a_tokenizer_that_changed_since_compiling_is_refused(workbench: Workbench) -> None:
    """Where the plan knows its file; else that it is there is all that can be asked for."""
    file = workbench.root / "tokenizer.json"
    given = tiny(workbench.corpus).replace(
        tokenizer=PretrainedTokenizer(name="mine", path="tokenizer.json", vocab_size=400)
    )
    unseen, _ = workbench.compile(given)
    file.write_text("{}")
    seen, _ = workbench.compile(given)
    assert moved_sources(seen.tasks, workbench.root) == moved_sources(unseen.tasks, workbench.root) == []
    file.write_text("[]")
    (moved,) = moved_sources(seen.tasks, workbench.root)
    assert moved.what.startswith("source 'tokenizer' has changed since the plan was compiled (44136fa355b3678a -> ")
    assert moved_sources(unseen.tasks, workbench.root) == []
    file.unlink()
    (gone,) = moved_sources(unseen.tasks, workbench.root)
    assert (gone.what, gone.where) == ("tokenizer 'tokenizer' cannot be read (No such file or directory)", str(file))


def test_what_is_read_in_two_formats_is_looked_at_in_both(workbench: Workbench, tmp_path: Path) -> None:
    """As a directory it has changed, and it is no file of lines."""
    corpus = shutil.copytree(workbench.corpus, tmp_path / "copy")
    experiment = tiny(corpus)
    code, *others = experiment.data
    lines = JsonLines(name="lines", path=str(corpus), declared=Declared(bytes=1))
    plan, _ = workbench.compile(experiment.replace(data=(code.replace(sources=(*code.sources, lines)), *others)))
    (corpus / "text" / "more.py").write_text("x = 1\n")
    unread, changed = sorted(problem.what for problem in moved_sources(plan.tasks, workbench.root))
    assert "source 'lines' has no documents" in unread and "source 'local' has changed" in changed


def test_a_source_that_changed_since_compiling_is_refused(workbench: Workbench, tmp_path: Path) -> None:
    """The plan saw other bytes than those that would be read."""
    corpus = tmp_path / "copy"
    shutil.copytree(workbench.corpus, corpus)
    plan, _ = workbench.compile(tiny(corpus))
    refuse(plan, workbench.root, workbench.store)
    (corpus / "math" / "heapq.py").write_text("changed = 1\n")
    with pytest.raises(UserError, match="has changed since the plan was compiled"):
        refuse(plan, workbench.root, workbench.store)


def test_what_another_run_finished_was_not_made_here(tmp_path: Path) -> None:
    """Who was a moment slower to publish notes that it did, too; what was finished before is made by publishing it."""
    journal, since = Journal(tmp_path), time.time()
    here: dict[str, Any] = {"host": platform.node(), "driver": os.getpid()}
    theirs = {**here, "driver": -1}
    finishers = {"both": (here, theirs), "theirs": (theirs,), "ours": (here,), "before": ()}
    for task, found in finishers.items():
        for who in found:
            journal.write("finished", task=task, shard=0, seconds=1.0, **who)
        journal.write("published", task=task, key="k", **here)
    for who in (here, theirs):
        journal.write("cut_off", task=f"cut by {who['driver']}", key="k", **who)
    assert made_here(journal, since) == ({"both", "ours", "before"}, {f"cut by {os.getpid()}"})
    assert made_here(journal, time.time() + 1) == (set(), set())


def test_a_damaged_artefact_is_built_again(finished: Finished, tmp_path: Path) -> None:
    """A truncated file is noticed by its size; the artefact is set aside and rebuilt to the same digest."""
    bench, plan, path, _ = finished
    copy = Store(tmp_path / "store")
    shutil.copytree(bench.store.root, copy.root)
    shutil.copytree(path.parent, tmp_path / "build")  # with the journal, which others read
    artifact = copy.find(plan.task("code/pack").fingerprint)
    assert artifact is not None
    damaged = artifact.path / "tokens" / "tokens.bin"
    damaged.write_bytes(damaged.read_bytes()[:-2])
    assert [task.id for task in to_run(plan, copy)] == ["code/pack"]
    summary = bench.run(plan, tmp_path / "build" / path.name, store=copy)
    assert summary.ran == ("code/pack",)
    again = copy.find(plan.task("code/pack").fingerprint)
    assert again is not None and again.manifest["digest"] == artifact.manifest["digest"]
    assert (copy.root / "damaged" / artifact.path.name).exists()


def test_the_plan_on_disk_is_what_runs(finished: Finished) -> None:
    """plan.json holds every query; the worker gets it from there."""
    _, plan, path, _ = finished
    stored = plans.load(path)
    assert stored.task("code/deduplicate/edges").sql == plan.task("code/deduplicate/edges").sql
    assert "getvariable('parts')" in json.dumps(stored.task("code/deduplicate/edges").sql)
