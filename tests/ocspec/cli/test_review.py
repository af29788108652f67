"""Reviewed plans: `ocspec plan --out` writes what was looked at, and `submit` runs that or refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from compiler.lock import HEAD
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


def test_it_writes_all_that_compile_writes_and_the_review(ocspec, reviewed: Path) -> None:
    assert ocspec("compile", "tiny.py", "--out", "build/compiled").code == 0
    written = {str(path.relative_to(reviewed)): path.read_bytes() for path in reviewed.rglob("*") if path.is_file()}
    review = json.loads(written.pop("review.json"))
    compiled = Path("build/compiled")
    assert written == {
        str(path.relative_to(compiled)): path.read_bytes() for path in compiled.rglob("*") if path.is_file()
    }
    assert review["tasks"]["anneal/train"] == {"action": "rebuild", "key": None, "digest": None}
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


def test_a_plan_that_was_edited_is_refused(ocspec, reviewed: Path) -> None:
    file = reviewed / "plan.json"
    file.write_text(file.read_text().replace('"shards": 1', '"shards": 2', 1))
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
    assert "2 artefacts are not in the store that the plan was to reuse: code/pack (gone, " in said
    assert "pretrain/train (gone, " in said


def test_another_store_is_refused(ocspec, reviewed: Path) -> None:
    said = refused(ocspec, "--store", "other")
    assert "12 artefacts are not in the store that the plan was to reuse: " in said
    assert "and 8 more" in said and "name the store that was reviewed with --store" in said


def test_an_artefact_of_other_content_is_refused(ocspec, reviewed: Path) -> None:
    """Made anew in the meantime, and not to the same bytes."""
    file = artefact("code/pack") / "manifest.json"
    manifest = json.loads(file.read_text())
    file.write_text(json.dumps({**manifest, "digest": "0" * 64}))
    said = refused(ocspec)
    assert "1 artefact is not in the store that the plan was to reuse: code/pack (other content, " in said
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
        ('{"format_version": 2}', "it is damaged"),
        ('{"format_version": 99}', "its format_version is 99, this ocspec reads 2"),
    ],
)
def test_a_review_that_cannot_be_read_is_refused(ocspec, reviewed: Path, text: str, what: str) -> None:
    (reviewed / "review.json").write_text(text)
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
    assert result.code == 1 and "14 artefacts are not in the store" in result.err
