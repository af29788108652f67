"""Adoption: what is there already becomes a task's artefact exactly if it is what the task would have made."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import runtime.store
from compiler import canonical, ir
from compiler.errors import UserError
from compiler.plan import Plan, Task
from ocspec import edit
from runtime.adoption import Adopted, adopt
from runtime.journal import Journal
from runtime.run import Summary, to_run
from runtime.store import MANIFEST, Store
from runtime.task import Artifact
from tests.runtime.conftest import Workbench, tiny

TASK = "code/refine"


@pytest.fixture
def old(finished: tuple[Workbench, Plan, Path, Summary], tmp_path: Path) -> tuple[Plan, Store]:
    """The finished experiment's plan, and a copy of its store."""
    bench, plan, _, summary = finished
    assert not summary.failed
    shutil.copytree(bench.store.root, tmp_path / "old")
    return plan, Store(tmp_path / "old")


@pytest.fixture
def raised(finished: tuple[Workbench, Plan, Path, Summary], monkeypatch: pytest.MonkeyPatch) -> Iterator[Plan]:
    """The plan after the version of refine was raised."""
    monkeypatch.setattr(ir.Refine, "op_version", ir.Refine.op_version + 1)
    yield finished[0].compile()[0]
    monkeypatch.undo()
    finished[0].compile()  # its plan.json as it was


def built(plan: Plan, store: Store, task: str = TASK) -> Artifact:
    artifact = store.find(plan.task(task).fingerprint)
    assert artifact is not None
    return artifact


def take(artefact: Artifact | str, task: Task, plan: Plan, store: Store) -> Adopted:
    named = artefact if isinstance(artefact, str) else str(artefact.path)
    return adopt(named, task, plan, store, Journal(store.root.parent / "journal"))


def test_an_artefact_is_adopted_across_a_version(
    old: tuple[Plan, Store], raised: Plan, workbench: Workbench, corpus: Path
) -> None:
    """It is reused, and all after it is cut off: its content is what it was. Journal and manifest tell of it."""
    before, store = old
    assert {task.id for task in to_run(raised, store)} > {TASK, "code/encode", "pretrain/train", "sft/bits_per_byte"}
    artefact = built(before, store)
    done = take(str(artefact.manifest["key"])[:12], raised.task(TASK), raised, store)
    assert not done.was_there
    manifest = done.artifact.manifest
    assert manifest["adopted"][0]["operator"] == f"data.refine/{raised.task(TASK).op.op_version - 1}"
    assert manifest["digest"] == artefact.manifest["digest"]
    assert canonical.fingerprint(manifest["preimage"]) == manifest["key"] != artefact.manifest["key"]
    assert TASK not in {task.id for task in to_run(raised, store)}
    (event,) = Journal(store.root.parent / "journal").read()
    assert (event["event"], event["task"], event["of"]) == ("adopted", TASK, artefact.manifest["key"])
    plan, path = workbench.compile(tiny(corpus))
    summary = workbench.run(plan, path, store=store)
    assert (summary.ran, summary.failed) == ((), ())
    assert set(summary.cut_off) >= {"code/encode", "pretrain/train", "sft/bits_per_byte"}


def test_an_artefact_of_another_store_is_copied(old: tuple[Plan, Store], tmp_path: Path) -> None:
    """No file is shared, so that what becomes of it there does not matter here."""
    plan, store = old
    mine = Store(tmp_path / "mine")
    for task in plan.tasks:
        done = take(built(plan, store, task.id), task, plan, mine)
        assert done.artifact.manifest["key"] == built(plan, store, task.id).manifest["key"]
    assert to_run(plan, mine) == []
    inodes = {file.stat().st_ino for file in mine.root.rglob("*") if file.is_file()}
    assert not inodes & {file.stat().st_ino for file in store.root.rglob("*") if file.is_file()}


def test_what_is_built_is_left_alone(old: tuple[Plan, Store], raised: Plan) -> None:
    """The task has its artefact, whether that is the one that is offered or another one that fits."""
    plan, store = old
    assert take(built(plan, store), plan.task(TASK), plan, store).was_there
    adopted = take(built(plan, store), raised.task(TASK), raised, store)
    again = take(built(plan, store), raised.task(TASK), raised, store)
    assert (adopted.was_there, again.was_there) == (False, True)
    assert again.artifact.manifest == adopted.artifact.manifest


def test_what_is_offered_to_a_task_that_is_built_is_looked_at(old: tuple[Plan, Store], tmp_path: Path) -> None:
    """No key, no artefact, or one of something else: said, and not that all is as it was."""
    plan, store = old
    task = plan.task("code/sign")
    for offered in ("zz", "0" * 64, str(tmp_path)):
        with pytest.raises(UserError, match="no artefact: no directory with a manifest, no key in the store"):
            take(offered, task, plan, store)
    with pytest.raises(UserError, match=rf"{TASK} cannot be adopted as code/sign: it was made by data\.refine/\d"):
        take(built(plan, store), task, plan, store)


def test_what_does_not_fit_is_refused_in_one_message(old: tuple[Plan, Store], raised: Plan) -> None:
    """Another operator; another field; inputs of other content; another number of inputs."""
    before, store = old
    task = raised.task(TASK)
    with pytest.raises(UserError, match=r"code/sign cannot be adopted as code/refine: it was made by data\.sign/\d"):
        take(built(before, store, "code/sign"), task, raised, store)
    artefact = built(before, store)
    assert isinstance(task.op, ir.Refine)
    other = attrs.evolve(task.op, redact_pii=False, rules=())
    changed = attrs.evolve(task, op=other, fingerprint="0" * 64)
    with pytest.raises(UserError, match=r"redact_pii is true in it, absent in the task; rules is "):
        take(artefact, changed, raised, store)
    swapped = attrs.evolve(task, inputs=tuple(attrs.evolve(item, task="code/sign") for item in task.inputs))
    with pytest.raises(UserError, match="its input kept had other content than the one that is built here"):
        take(artefact, swapped, raised, store)
    with pytest.raises(UserError, match=r"it was made of kept \(1\), the task reads nothing"):
        take(artefact, attrs.evolve(task, inputs=()), raised, store)
    assert store.find(task.fingerprint) is None


def test_an_input_that_is_not_built_must_be_the_one_that_it_was_made_of(
    old: tuple[Plan, Store], corpus: Path, tmp_path: Path
) -> None:
    """Its definition tells: encoding has no field of its own, so two data sets' tasks differ in nothing else."""
    before, store = old
    mine = Store(tmp_path / "mine")
    less = edit(tiny(corpus), {"data.code.steps.downsample.caps.python": 1000})
    plan = Workbench(tmp_path / "less", corpus).compile(less)[0]
    task = plan.task("code/encode")
    assert task.op == before.task("code/encode").op
    with pytest.raises(UserError, match=r"its input code/\w+ is not built here and was defined otherwise: build or"):
        take(built(before, store, "code/encode"), task, plan, mine)
    assert not take(built(before, store, "code/encode"), before.task("code/encode"), before, mine).was_there


def test_of_inputs_in_any_order_one_that_is_not_built_must_be_among_those(
    old: tuple[Plan, Store], tmp_path: Path
) -> None:
    """By their definitions, of which a pre-image does not say whose is which."""
    before, store = old
    reads = ((task, item) for task in before.tasks for item in task.inputs if item.role in task.op.unordered)
    task, upstream = next((task, item.task) for task, item in reads)
    assert not take(built(before, store, task.id), task, before, Store(tmp_path / "mine")).was_there
    other = attrs.evolve(before.task(upstream), fingerprint="0" * 64)
    plan = attrs.evolve(before, tasks=tuple(other if one.id == upstream else one for one in before.tasks))
    with pytest.raises(UserError, match=f"its input {upstream} is not built here and was defined otherwise"):
        take(built(before, store, task.id), task, plan, Store(tmp_path / "another"))


def test_fields_are_compared_whatever_they_are_called(old: tuple[Plan, Store], tmp_path: Path) -> None:
    """Also one called kind, as differences of two classes are."""
    plan, store = old
    task, source = plan.task("code/encode"), tmp_path / "artefact"
    shutil.copytree(built(plan, store, task.id).path, source)
    manifest = json.loads((source / MANIFEST).read_text())
    manifest["plan_preimage"][1][2]["kind"] = ["str", "other"]
    (source / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="kind is other in it, absent in the task"):
        take(str(source), task, plan, Store(tmp_path / "mine"))


def test_content_that_is_not_what_the_manifest_says_is_refused(old: tuple[Plan, Store], tmp_path: Path) -> None:
    """A file of the right size and other bytes; one that was cut; one that is gone; a manifest that is none."""
    plan, store = old
    source, mine = tmp_path / "damaged", Store(tmp_path / "mine")
    task = plan.task("tokenizer")
    shutil.copytree(built(plan, store, "tokenizer").path, source)
    file = next(path for path in source.rglob("tokenizer.json"))
    whole = file.read_bytes()
    file.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    with pytest.raises(UserError, match="the content of its output tokenizer is not what the manifest says"):
        take(str(source), task, plan, mine)
    file.write_bytes(whole[:-1])
    with pytest.raises(UserError, match=r"1 of its files are missing or cut short, such as tokenizer/tokenizer\.json"):
        take(str(source), task, plan, mine)
    (source / MANIFEST).write_text("{}")
    with pytest.raises(UserError, match="its manifest cannot be read"):
        take(str(source), task, plan, mine)
    for named in ("nowhere", "000000000000"):
        with pytest.raises(UserError, match="no artefact"):
            take(named, task, plan, mine)


@pytest.mark.parametrize("manifest", ["lists fewer", "lists more", "points elsewhere"])
def test_the_files_are_those_that_the_manifest_lists(old: tuple[Plan, Store], tmp_path: Path, manifest: str) -> None:
    """What is digested is what is copied, and no name leads out of the artefact."""
    plan, store = old
    source = tmp_path / "damaged"
    shutil.copytree(built(plan, store, "code/sign").path, source)
    data = json.loads((source / MANIFEST).read_text())
    if manifest == "lists fewer":
        del data["files"][next(name for name in data["files"] if name.startswith("keys/"))]
    else:
        (tmp_path / "stray").write_text("x")
        data["files"]["keys/../../stray" if manifest == "points elsewhere" else "keys/more"] = 1
    (source / MANIFEST).write_text(json.dumps(data))
    with pytest.raises(UserError, match="1 files are only in its manifest or only in its directory, such as keys/"):
        take(str(source), plan.task("code/sign"), plan, Store(tmp_path / "mine"))
    assert not (tmp_path / "mine" / "artifacts").exists()


def test_a_damaged_link_of_a_fingerprint_is_none(old: tuple[Plan, Store]) -> None:
    """It names no artefact, and others that begin so are found."""
    plan, store = old
    task = attrs.evolve(plan.task("code/sign"), fingerprint="0" * 64)
    for number, text in enumerate(("{", "{}", '["key"]')):
        (store.root / "fingerprints" / f"abcdef{number}.json").write_text(text)
    with pytest.raises(UserError, match="no artefact: no directory with a manifest, no key in the store"):
        take("abcdef", task, plan, store)


def test_a_copy_that_breaks_off_leaves_nothing(
    old: tuple[Plan, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The artefact is renamed into place as a whole, or not at all."""
    plan, store = old
    mine, copied = Store(tmp_path / "mine"), []

    def copy(source: Any, target: Any) -> None:
        if copied:
            raise OSError(28, "No space left on device")
        copied.append(Path(target).write_bytes(Path(source).read_bytes()))

    monkeypatch.setattr(shutil, "copyfile", copy)
    with pytest.raises(UserError, match=r"no space left for pretrain/train in .* \(No space left on device\)"):
        take(built(plan, store, "pretrain/train"), plan.task("pretrain/train"), plan, mine)
    assert len(copied) == 1
    assert [path for path in mine.root.rglob("*") if path.is_file()] == []


def test_outputs_of_several_shards_are_adopted(workbench: Workbench, tmp_path: Path) -> None:
    """Their files lead with the number of the shard, which their digests do not know."""
    plan, path = workbench.compile(shards=3)
    workbench.run(plan, path, until="code/sign")
    mine = Store(tmp_path / "mine")
    done = take(built(plan, workbench.store, "code/sign"), plan.task("code/sign"), plan, mine)
    assert len(done.artifact.files("keys")) == 3
    assert os.listdir(mine.root / "work") == []


def _forgetting(store: Store, key: str, then: Callable[..., Any], *, built: Path | None) -> Callable[..., Any]:
    """What is called, after another process published the artefact, where it is given, and cleared the work away."""

    def call(*arguments: Any) -> Any:
        final = store.root / "artifacts" / key
        if built and not final.exists():
            _link_tree(built, final)
        store._forget(key)
        return then(*arguments)

    return call


@pytest.mark.parametrize("at", [(shutil, "copyfile"), (runtime.store, "_complete")])
def test_the_task_may_be_built_meanwhile(
    old: tuple[Plan, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: tuple[Any, str]
) -> None:
    """Who publishes it clears away all work on it, the ground on which adopting stands: that artefact is taken."""
    plan, store = old
    mine, artefact, task = Store(tmp_path / "mine"), built(plan, store, "code/sign"), plan.task("code/sign")
    ready = tmp_path / "ready"
    shutil.copytree(artefact.path, ready)
    key, original = str(artefact.manifest["key"]), getattr(*at)
    monkeypatch.setattr(*at, _forgetting(mine, key, original, built=None))
    with pytest.raises(FileNotFoundError):
        take(artefact, task, plan, mine)
    assert mine.artifact(key) is None, "what is left of it is not placed"
    monkeypatch.setattr(*at, original)
    monkeypatch.setattr(*at, _forgetting(mine, key, original, built=ready))
    assert take(artefact, task, plan, mine).artifact.manifest["files"] == artefact.manifest["files"]
    assert mine.find(task.fingerprint) is not None


def _link_tree(source: Path, target: Path) -> None:
    """Without copying, which is what the test stands in for."""
    for path in source.rglob("*"):
        if path.is_file():
            (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target / path.relative_to(source))
