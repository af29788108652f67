"""Reviewed plans: `ocspec plan --out` writes what was looked at, and `submit` runs that or refuses."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import attrs
import pytest

from compiler import plan as plans
from compiler.lock import HEAD
from runtime.dispatch.inline import InlineDispatcher
from runtime.journal import Journal
from runtime.reasons import outlook
from runtime.run import run_plan
from runtime.store import Store

from .test_plan import edit
from .test_submit import forget

REVIEWED = "build/reviewed"


@pytest.fixture
def reviewed(ocspec, built: Path) -> Path:
    """A changed training schedule, planned and reviewed over the store of a finished run."""
    Path("tiny.lock").write_text(f"{HEAD}model.num_layers = 1\n")
    edit("Decay(end=1e-5)", "Decay(end=2e-5)")
    result = ocspec("plan", "tiny.py", "--out", REVIEWED)
    assert result.code == 0, result.err
    assert f"written: {REVIEWED}/review.json; `ocspec submit {REVIEWED}` runs exactly this plan" in result.err
    return Path(REVIEWED)


def refused(ocspec, *argv: str) -> str:
    """What submit says when it refuses, having started nothing."""
    result = ocspec("submit", REVIEWED, *argv)
    assert (result.code, result.out) == (1, ""), result
    assert not Path(REVIEWED, "journal").exists()
    return str(result.err)


def artefact(task: str) -> Path:
    """The directory of what a task of the reviewed plan made."""
    plan = json.loads(Path(REVIEWED, "plan.json").read_text())
    fingerprint = next(one["fingerprint"] for one in plan["tasks"] if one["id"] == task)
    found = Store(Path(".ocspec").resolve()).find(fingerprint)
    assert found is not None
    return found.path


def artefact_of(task: str, store: Path) -> Path:
    """The directory of the one artefact that tasks of a name made."""
    manifests = [(path, json.loads(path.read_text())) for path in store.glob("artifacts/*/manifest.json")]
    (found,) = [path.parent for path, manifest in manifests if manifest["task"] == task]
    return found


def test_it_writes_all_that_compile_writes_and_the_review(ocspec, reviewed: Path) -> None:
    assert ocspec("compile", "tiny.py", "--out", "build/compiled").code == 0
    written = {str(path.relative_to(reviewed)): path.read_bytes() for path in reviewed.rglob("*") if path.is_file()}
    review = json.loads(written.pop("review.json"))
    compiled = Path("build/compiled")
    assert written == {
        str(path.relative_to(compiled)): path.read_bytes() for path in compiled.rglob("*") if path.is_file()
    }
    rebuilt = review["tasks"]["anneal/train"]
    assert (rebuilt["action"], rebuilt["key"], rebuilt["digest"]) == ("rebuild", None, None)
    assert Path(f".ocspec/artifacts/{rebuilt['compared']}").is_dir()
    assert review["tasks"]["code/sign"]["action"] == "reuse"
    assert artefact("code/sign").name == review["tasks"]["code/sign"]["key"]
    assert "sources" not in review, "they are in plan.json, whose digest is in it"
    assert review["lock"]["file"] == "tiny.lock"
    assert str(Path.cwd()) not in json.dumps(review)


def test_what_was_reviewed_runs_and_can_go_on(ocspec, reviewed: Path) -> None:
    """It is the last compiled; afterwards what was to run is there, which is no harm and is said."""
    assert ocspec("plan", "--json").out == ocspec("plan", REVIEWED, "--json").out
    result = ocspec("submit", REVIEWED, "--inline")
    assert result.code == 0, result.err
    assert result.out.startswith("2 ran, 12 reused, 0 cut off, 0 failed in ")
    again = ocspec("submit", REVIEWED, "--inline")
    assert again.out.startswith("0 ran, 14 reused")
    assert (
        "2 tasks that were to run when the plan was reviewed, built since: anneal/train, anneal/bits_per_byte\n"
        in again.err
    )


def test_another_plan_is_refused(ocspec, reviewed: Path) -> None:
    edit("Decay(end=2e-5)", "Decay(end=3e-5)")
    assert ocspec("compile", "tiny.py", "--out", "build/other").code == 0
    shutil.copy("build/other/plan.json", reviewed)
    said = refused(ocspec)
    assert said.count("error: ") == 1
    assert "plan.json is not the one that was reviewed (" in said
    assert "fix: compile and review it again: `ocspec plan SPEC --out DIR`" in said


def test_a_source_that_moved_is_refused_even_if_nothing_reads_it(ocspec, reviewed: Path) -> None:
    """What is reused was made of the data that was reviewed."""
    Path("repositories/alpha/new.py").write_text("x = 1\n")
    said = refused(ocspec)
    assert said.count("error: ") == 1
    assert "1 source is not as reviewed: source 'library' has changed since the plan was compiled" in said
    assert "put the data back, or look at what it is now" in said


def test_an_artefact_that_is_gone_is_refused(ocspec, reviewed: Path) -> None:
    forget(Path.cwd(), "pretrain/train", "code/pack")
    said = refused(ocspec, "--dry-run")
    assert said.count("error: ") == 1
    assert re.search(
        r"in this store 2 tasks would not do what was reviewed: code/pack \(reuse -> rebuild, [0-9a-f]{16} is gone\), "
        r"pretrain/train \(reuse -> rebuild, [0-9a-f]{16} is gone\)\n",
        said,
    )


def test_another_store_is_refused(ocspec, reviewed: Path) -> None:
    said = refused(ocspec, "--store", "other")
    assert said.count("error: ") == 1
    assert "in this store 14 tasks would not do what was reviewed: code/sign (reuse -> new, " in said
    assert "and 10 more" in said and "name the store that was reviewed with --store" in said


@pytest.fixture
def all_changed(ocspec, built: Path) -> Path:
    """A first task that is to be built again, into less, reviewed over the finished run: nothing is reused."""
    edit('languages=("python",)', 'languages=("python",), max_bytes=20_000')
    assert ocspec("plan", "tiny.py", "--out", REVIEWED).code == 0
    tasks = json.loads(Path(REVIEWED, "review.json").read_text())["tasks"]
    counts = Counter(task["action"] for task in tasks.values())
    assert counts == {"rebuild": 1, "may cut off": 13}, counts
    return Path(REVIEWED)


def test_where_nothing_was_to_be_reused_another_store_is_refused_too(ocspec, all_changed: Path) -> None:
    """By `run` as by `submit`; where it was reviewed it runs."""
    said = refused(ocspec, "--store", "other")
    assert (
        "in this store 14 tasks would not do what was reviewed: code/sign (rebuild -> new), "
        "code/hold-out (may cut off -> new), "
    ) in said
    assert "name the store that was reviewed with --store, or look at what it is now: `ocspec plan " in said
    result = ocspec("run", "tiny.py", "--out", REVIEWED, "--store", "other")
    assert result.code == 1 and "in this store 14 tasks would not do" in result.err
    assert ocspec("submit", REVIEWED, "--dry-run").code == 0


def test_what_ran_before_it_stopped_settles_what_may_be_cut_off(ocspec, all_changed: Path) -> None:
    """Its input came out otherwise, so it has to run: that is what was reviewed."""
    plan, store = plans.load(all_changed / "plan.json"), Store(Path(".ocspec").resolve())
    file = (all_changed / "plan.json").resolve()
    first = attrs.evolve(plan, tasks=plan.tasks[:1])
    run_plan(first, store, InlineDispatcher(file, store.root), Journal(Path("elsewhere")), lambda _: None)
    now = {one.task.id: one.action for one in outlook(plan, store)}
    assert (now["code/sign"], now["code/hold-out"]) == ("reuse", "rebuild")
    result = ocspec("submit", REVIEWED, "--dry-run")
    assert result.code == 0, result.err
    assert "1 task that was to run when the plan was reviewed, built since: code/sign\n" in result.err


def test_what_may_be_cut_off_no_more_is_refused(ocspec, all_changed: Path) -> None:
    """Nothing came out since, but what its result would have been compared with is of another operator, or is gone."""
    file = artefact_of("code/refine", Path(".ocspec")) / "manifest.json"
    manifest = json.loads(file.read_text())
    other = json.loads((artefact_of("code/pack", Path(".ocspec")) / "manifest.json").read_text())
    file.write_text(json.dumps({**manifest, "preimage": other["preimage"]}))
    assert "1 task would not do what was reviewed: code/refine (may cut off -> rebuild)\n" in refused(ocspec)
    forget(Path.cwd(), "code/refine")
    assert "1 task would not do what was reviewed: code/refine (may cut off -> new)\n" in refused(ocspec)


def test_a_past_that_is_another_is_refused(ocspec, all_changed: Path) -> None:
    """It would run all the same, but for a reason that nobody reviewed."""
    made = artefact_of("code/sign", Path(".ocspec"))
    manifest = json.loads((made / "manifest.json").read_text())
    shutil.move(made, made.with_name("f" * 64))
    (made.with_name("f" * 64) / "manifest.json").write_text(json.dumps({**manifest, "key": "f" * 64}))
    said = refused(ocspec)
    assert (
        f"1 task would not do what was reviewed: code/sign (rebuild, {made.name[:16]} that it was compared with" in said
    )


def test_less_than_was_reviewed_is_fine(ocspec, built: Path) -> None:
    """All new in an empty store, then submitted to one where it is built."""
    assert ocspec("plan", "tiny.py", "--out", REVIEWED, "--store", "empty").code == 0
    result = ocspec("submit", REVIEWED)
    assert result.out.startswith("0 ran, 14 reused"), result.err


def test_an_artefact_of_other_content_is_refused(ocspec, reviewed: Path) -> None:
    """Made anew in the meantime, and not to the same bytes."""
    file = artefact("code/pack") / "manifest.json"
    manifest = json.loads(file.read_text())
    file.write_text(json.dumps({**manifest, "digest": "0" * 64}))
    said = refused(ocspec)
    assert "1 task would not do what was reviewed: code/pack (reuse, other content: " in said
    assert "-> 0000000000000000)" in said


def test_a_lock_that_moved_is_refused(ocspec, reviewed: Path) -> None:
    """Remarks are no move; a lock that is gone is one."""
    lock = Path("tiny.lock")
    lock.write_text(f"{lock.read_text()}# a remark\n")
    assert ocspec("submit", REVIEWED, "--dry-run").code == 0
    lock.write_text(f"{HEAD}model.num_layers = 2\n")
    said = refused(ocspec)
    assert said.count("error: ") == 1 and "the lock that the plan was reviewed with is another (" in said
    assert "fix: put the lock back, or " in said
    lock.unlink()
    assert "the lock that the plan was reviewed with is gone" in refused(ocspec)


def test_a_reviewed_plan_that_is_reviewed_again_keeps_its_lock(ocspec, reviewed: Path) -> None:
    """In its place or as a copy: the lock is what the spec was reviewed with, whatever lies there by now."""
    before = json.loads((reviewed / "review.json").read_text())["lock"]
    Path("tiny.lock").write_text(f"{HEAD}model.num_layers = 2\n")
    for out in (REVIEWED, "build/copy"):
        assert ocspec("plan", REVIEWED, "--out", out).code == 0
        assert json.loads(Path(out, "review.json").read_text())["lock"] == before
    assert "the lock that the plan was reviewed with is another (" in refused(ocspec)


def test_a_directory_with_an_at_is_no_revision(ocspec, spec: Path) -> None:
    place = Path("at@home")
    place.mkdir()
    shutil.move("repositories", place)
    shutil.move("tiny.py", place)
    (place / "tiny.lock").write_text(HEAD)
    assert ocspec("plan", "at@home/tiny.py", "--out", REVIEWED).code == 0
    assert json.loads(Path(REVIEWED, "review.json").read_text())["lock"]["file"] == "tiny.lock"


def test_with_a_lock_that_cannot_be_read_nothing_is_written(ocspec, spec: Path) -> None:
    Path("tiny.lock").write_text("<<<<<<< HEAD\n")
    result = ocspec("plan", "tiny.py", "--out", REVIEWED)
    assert result.code == 1 and "not a lock" in result.err
    assert not Path("build").exists()


def test_run_holds_to_the_review_that_its_plan_has(ocspec, reviewed: Path) -> None:
    """The same spec compiles to the plan that was reviewed, and keeps the review."""
    Path("tiny.lock").unlink()
    result = ocspec("run", "tiny.py", "--out", REVIEWED, "--inline")
    assert result.code == 1 and "the lock that the plan was reviewed with is gone" in result.err
    assert not (reviewed / "journal").exists()


def test_each_kind_is_one_message(ocspec, reviewed: Path) -> None:
    Path("repositories/alpha/new.py").write_text("x = 1\n")
    forget(Path.cwd(), "code/pack", "code/sign")
    Path("tiny.lock").unlink()
    assert refused(ocspec).count("error: ") == 3


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "it is damaged"),
        ("[]", "it is damaged"),
        ('{"format_version": 3}', "it is damaged"),
        (
            '{"format_version": 3, "experiment": "tiny", "plan": "PLAN", "tasks": {}}',
            "it speaks of other tasks than the plan",
        ),
        ('{"format_version": 99}', "its format_version is 99, this ocspec reads 3"),
    ],
)
def test_a_review_that_cannot_be_read_is_refused(ocspec, reviewed: Path, text: str, what: str) -> None:
    digest = hashlib.sha256((reviewed / "plan.json").read_bytes()).hexdigest()
    (reviewed / "review.json").write_text(text.replace("PLAN", digest))
    assert f"the review beside the plan cannot be read: {what}" in refused(ocspec)


def test_compiling_the_same_keeps_the_review_and_another_removes_it(ocspec, reviewed: Path) -> None:
    same = ocspec("compile", "tiny.py", "--out", REVIEWED)
    assert "review" not in same.err and (reviewed / "review.json").exists()
    edit("Decay(end=2e-5)", "Decay(end=3e-5)")
    other = ocspec("compile", "tiny.py", "--out", REVIEWED)
    assert f"the review in {REVIEWED} was of another plan and is removed" in other.err
    assert not (reviewed / "review.json").exists()


def test_a_compiled_plan_can_be_reviewed_as_it_is(ocspec, built: Path) -> None:
    """In its place or as a copy, byte for byte."""
    before = Path("build/tiny/plan.json").read_bytes()
    for out in ("build/tiny", "build/copy"):
        assert ocspec("plan", "build/tiny", "--out", out).code == 0
        assert Path(out, "plan.json").read_bytes() == before
        assert ocspec("submit", out).out.startswith("0 ran, 14 reused")
    shutil.rmtree(".ocspec")
    result = ocspec("submit", "build/copy")
    assert result.code == 1 and "in this store 14 tasks would not do what was reviewed" in result.err
