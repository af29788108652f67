"""ocspec lock: what is written, what a check says, and that it is the same elsewhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from compiler.lock import digest, entries
from tests.ocspec.cli.conftest import write_spec
from tests.ocspec.cli.test_check import UNEVEN

ARMS = """
quick = experiment.replace(name="quick", shards=2)
slow = experiment.replace(name="slow", shards=3)
"""


def edit(spec: Path, before: str, after: str) -> None:
    text = spec.read_text()
    assert before in text
    spec.write_text(text.replace(before, after))


def test_a_lock_is_written_beside_its_spec_and_holds(ocspec, spec: Path) -> None:
    result = ocspec("lock", str(spec))
    assert (result.code, result.out) == (0, "tiny.lock: written\n")
    lines = entries(Path("tiny.lock").read_text())
    assert lines["curriculum.stages.pretrain.schedule.peak"] == "0.001"
    assert lines["source:library.digest"].startswith("bytes:")
    assert ocspec("lock", "--check", str(spec)) == (0, "1 lock, none not as the specs say\n", "")


def test_a_check_writes_nothing_and_exits_with_3(ocspec, spec: Path) -> None:
    missing = ocspec("lock", "--check", str(spec))
    assert (missing.code, missing.out) == (3, "tiny.lock: missing\n1 lock, 1 not as the specs say\n")
    assert missing.err == "fix: if that is meant, run `ocspec lock tiny.py`, and commit that with the change\n"
    assert not Path("tiny.lock").exists()


def test_only_what_changed_is_shown(ocspec, spec: Path) -> None:
    ocspec("lock", str(spec))
    before = Path("tiny.lock").read_bytes()
    edit(spec, "Decay(end=1e-5)", "Decay(end=2e-5)")
    edit(spec, "Redact()", 'Redact(), Filter(catalogue="none")')
    result = ocspec("lock", "--check", str(spec))
    assert result.code == 3
    assert result.out == (
        "tiny.lock: is not what the spec says\n"
        "  ~ curriculum.stages.anneal.schedule.end  1e-05 -> 2e-05\n"
        "  ~ data.code.steps\n"
        '      ["admit", "deduplicate", "redact"]\n'
        '      -> ["admit", "deduplicate", "redact", "filter"]\n'
        "  + data.code.steps.filter  Filter and 3 more lines\n"
        "  ~ 2 of 14 tasks with another fingerprint: anneal/train, anneal/bits_per_byte\n"
        "1 lock, 1 not as the specs say\n"
    )
    assert max(map(len, result.out.splitlines())) <= 80
    assert Path("tiny.lock").read_bytes() == before
    assert ocspec("lock", str(spec)).out.startswith("tiny.lock: written anew\n  ~ curriculum")
    assert ocspec("lock", "--check", str(spec)).code == 0


def test_an_empty_lock_says_nothing_of_what_the_spec_says(ocspec, spec: Path) -> None:
    Path("tiny.lock").write_text("")
    checked = ocspec("lock", "--check", str(spec))
    assert checked.code == 3
    assert checked.out.startswith("tiny.lock: is not what the spec says\n")
    assert "  + 14 tasks new: " in checked.out
    assert ocspec("lock", str(spec)).out.startswith("tiny.lock: written anew\n")
    assert ocspec("lock", "--check", str(spec)).code == 0


def test_other_data_is_a_difference(ocspec, spec: Path) -> None:
    ocspec("lock", str(spec))
    Path("repositories/alpha/more.py").write_text("x = 1\n" * 50)
    out = ocspec("lock", "--check", str(spec)).out
    assert "~ source:library.digest" in out
    assert "~ source:library.files  30 -> 31" in out
    assert "~ 14 of 14 tasks with another fingerprint: code/sign, code/hold-out,\n" in out


def test_every_experiment_of_a_file_has_a_lock(ocspec, spec: Path) -> None:
    spec.write_text(spec.read_text() + ARMS)
    assert ocspec("lock", "tiny.py").out == "tiny.lock: written\ntiny.quick.lock: written\ntiny.slow.lock: written\n"
    edit(spec, "shards=3", "shards=4")
    checked = ocspec("lock", "--check", "tiny.py")
    assert checked.out == (
        "tiny.slow.lock: is not what the spec says\n  ~ shards  3 -> 4\n3 locks, 1 not as the specs say\n"
    )
    assert ocspec("lock", "--check", "tiny.py:quick").code == 0
    assert ocspec("lock", "--check", "tiny.py:slow").code == 3


def test_a_rule_that_the_settings_take_back_refuses_no_lock(ocspec, spec: Path) -> None:
    """What compiles here can be locked here; what was changed is said by the verbs that check."""
    edit(spec, *UNEVEN)
    assert "[OC006]" in ocspec("lock", str(spec)).err
    Path("ocspec.toml").write_text('[rules]\nOC006 = "warning"\n')
    assert ocspec("lock", str(spec)) == (0, "tiny.lock: written\n", "")


def test_a_lock_of_another_spec_file_is_not_left_over(ocspec, spec: Path) -> None:
    """`a.small.lock` is that of a.small.py where there is such a file."""
    Path("tiny.small.py").write_text(spec.read_text())
    ocspec("lock", "tiny.py", "tiny.small.py")
    assert ocspec("lock", "--check", "tiny.py") == (0, "1 lock, none not as the specs say\n", "")
    Path("tiny.small.py").unlink()
    assert "tiny.small.lock: left over" in ocspec("lock", "--check", "tiny.py").out


def test_a_lock_whose_experiment_is_gone_is_left_over(ocspec, spec: Path) -> None:
    spec.write_text(spec.read_text() + ARMS)
    ocspec("lock", "tiny.py")
    edit(spec, "slow = experiment", "slower = experiment")
    result = ocspec("lock", "tiny.py")
    assert "tiny.slow.lock: left over, tiny.py defines no such experiment" in result.out
    checked = ocspec("lock", "--check", "tiny.py")
    assert checked.code == 3
    assert "delete tiny.slow.lock, and commit" in checked.err
    assert Path("tiny.slow.lock").exists()


def test_what_is_imported_is_locked_where_it_is_defined(ocspec, spec: Path) -> None:
    Path("arms.py").write_text(f"from tiny import experiment{ARMS}")
    Path("shared.py").write_text("from ocspec import *\n")
    result = ocspec("lock", "arms.py", "shared.py")
    assert result.out == "arms.quick.lock: written\narms.slow.lock: written\n"
    assert result.err == "shared.py: defines no experiment by name, so it has no lock\n"


def test_an_experiment_of_any_name_that_is_alone_has_the_locks_plain_name(ocspec, spec: Path) -> None:
    edit(spec, "experiment = ", "mine = ")
    assert ocspec("lock", "tiny.py").out == "tiny.lock: written\n"


def test_all_problems_of_all_specs_are_listed(ocspec, spec: Path) -> None:
    Path("bad.py").write_text(spec.read_text().replace("num_heads=2", "num_heads=3"))
    Path("worse.py").write_text(spec.read_text().replace('path="repositories"', 'path="nowhere"'))
    Path("broken.lock").write_text("<<<<<<< HEAD\n")
    Path("broken.py").write_text(spec.read_text())
    result = ocspec("lock", "bad.py", "worse.py", "broken.py", "nothing.py", "tiny.py")
    assert result.code == 1
    assert result.out == "tiny.lock: written\n"
    for said in ("bad.py:", "nowhere is not a directory", "broken.lock:1: not a lock", "nothing.py: no such spec file"):
        assert said in result.err
    assert Path("broken.lock").read_text() == "<<<<<<< HEAD\n"
    assert "Traceback" not in result.err


def test_a_file_without_an_experiment_cannot_be_all_that_is_asked_for(ocspec, spec: Path) -> None:
    Path("shared.py").write_text("from tiny import experiment\narms = (experiment,)\n")
    result = ocspec("lock", "--check", "shared.py")
    assert result.code == 1
    assert "the file defines no experiment by name" in result.err


def test_two_specs_of_one_name_cannot_have_their_locks_in_one_directory(ocspec, spec: Path) -> None:
    Path("more").mkdir()
    Path("more/tiny.py").write_text(spec.read_text().replace('path="repositories"', 'path="../repositories"'))
    result = ocspec("lock", "tiny.py", "more/tiny.py", "--out", "locks")
    assert result.code == 1
    assert "more/tiny.py: would have the lock of tiny.py" in result.err
    assert ocspec("lock", "tiny.py", "more/tiny.py").code == 0


def test_a_lock_is_the_same_elsewhere_and_holds_nothing_of_the_machine(
    ocspec, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ocspec("lock", str(spec))
    other = tmp_path / "an other place"
    other.mkdir()
    write_spec(other)
    monkeypatch.chdir(other)
    ocspec("lock", "tiny.py", "--out", "locks")
    text = Path("locks/tiny.lock").read_text()
    assert text == (tmp_path / "tiny.lock").read_text()
    assert not any(said in text for said in (str(tmp_path), os.uname().nodename))


def test_a_lock_that_says_the_same_stays_as_it_is(ocspec, spec: Path) -> None:
    """Other versions of libraries are no reason for a commit."""
    ocspec("lock", str(spec))
    older = Path("tiny.lock").read_text().replace("version:duckdb = ", "version:duckdb = 0.")
    Path("tiny.lock").write_text(older)
    assert ocspec("lock", str(spec)).out == "tiny.lock: unchanged\n"
    assert Path("tiny.lock").read_text() == older


def test_as_json(ocspec, spec: Path) -> None:
    ocspec("lock", str(spec))
    edit(spec, "Decay(end=1e-5)", "Decay(end=2e-5)")
    result = ocspec("lock", "--check", "--json", str(spec))
    found = json.loads(result.out)
    assert (result.code, found["kind"], found["check"]) == (3, "lock", True)
    (lock,) = found["locks"]
    assert (lock["spec"], lock["file"], lock["state"]) == ("tiny.py", "tiny.lock", "changed")
    assert [change["path"] for change in lock["changes"]] == [
        "curriculum.stages.anneal.schedule.end",
        "task:anneal/bits_per_byte",
        "task:anneal/train",
    ]
    assert lock["digest"] != digest(Path("tiny.lock").read_text())
    assert "fix: " in result.err


def test_a_directory_that_cannot_be_written(ocspec, spec: Path) -> None:
    Path("locks").write_text("a file")
    result = ocspec("lock", str(spec), "--out", "locks")
    assert result.code == 1
    assert "the lock cannot be written" in result.err


def test_the_how_to_shows_what_is_printed(ocspec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[3]
    (tmp_path / "specs").mkdir()
    spec = tmp_path / "specs" / "opencoder_mini.py"
    spec.write_text((root / "specs" / "opencoder_mini.py").read_text())
    monkeypatch.chdir(tmp_path)
    ocspec("lock", "specs/opencoder_mini.py")
    edit(spec, "Decay(end=1e-4,", "Decay(end=2e-4,")
    edit(spec, 'Filter(catalogue="opencoder")', 'Filter(catalogue="none")')
    checked = ocspec("lock", "--check", "specs/opencoder_mini.py")
    assert checked.code == 3
    shown = (root / "docs" / "how-to" / "lock.md").read_text()
    assert f"```text\n{checked.out}```" in shown, checked.out
    lines = Path("specs/opencoder_mini.lock").read_text().splitlines()
    for line in shown.partition("## What the lines are")[2].splitlines():
        path, _, value = line.rpartition("| `")[2].removesuffix("` |").partition(" = ")
        if line.startswith("| `") and not value.startswith(("bytes:", "data.")) and "version:" not in path:
            assert f"{path} = {value}" in lines
