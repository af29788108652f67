"""The lock: what it says, what it leaves out, and what is read back from it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from compiler.compile import draft_of, plan_from
from compiler.errors import UserError
from compiler.lock import digest, digest_at, entries, lock_changes, lock_file
from compiler.locking import LIBRARIES, lock, pins
from ocspec import Experiment, Filter, HoldOut


def lock_of(experiment: Experiment, base: Path, before: str = "") -> str:
    draft = draft_of(experiment, base, pins=pins(before, experiment, base))
    return lock(draft, plan_from(draft))


@pytest.fixture
def text(mini: Experiment) -> str:
    return lock_of(mini, Path("specs"))


def test_every_line_is_a_path_and_a_value_and_they_are_sorted(text: str) -> None:
    head, *lines = text.splitlines()
    assert head.startswith("# ocspec lock, format 1")
    assert all(re.fullmatch(r"[^ =]+ = .+", line) for line in lines)
    assert lines == sorted(lines)
    assert len(entries(text)) == len(lines)


def test_it_says_the_spec_the_operators_and_the_tasks(text: str) -> None:
    lines = entries(text)
    assert lines["model.num_layers"] == "4"
    assert lines["curriculum.stages"] == '["pretrain", "anneal", "sft1", "sft2"]'
    assert lines["curriculum.stages.anneal"] == "Anneal"
    assert lines["curriculum.stages.anneal.optimizer.beta2"] == "0.95", "a default that the spec does not name"
    assert lines["data.code.steps.downsample.caps.html"] == "60000"
    assert lines["operator:data.sign"].isdecimal()
    assert re.fullmatch(r"data\.sign [0-9a-f]{16}", lines["task:code/sign"])
    assert (lines["derived:pretrain.tokens"], lines["derived:code/deduplicate.bands"]) == ("1310720", "16")


def test_it_says_what_a_catalogue_stands_for(mini: Experiment, text: str) -> None:
    assert entries(text)["catalogue:num_words_min"].startswith("num_words < ")
    assert entries(text)["catalogue:num_words_min_text"].endswith('; doc_types ["text"]')
    code, *others = mini.data
    bare = code.replace(steps=tuple(s.replace(catalogue="none") if isinstance(s, Filter) else s for s in code.steps))
    assert "catalogue:" not in lock_of(mini.replace(data=(bare, *others)), Path("specs"))


def test_recorded_versions_are_no_difference(text: str) -> None:
    other = re.sub(r"(version:duckdb) = .*", r"\1 = 99", text).replace("# ocspec", "# an ocspec")
    assert other != text
    assert digest(other) == digest(text)
    assert lock_changes(text, other) == []
    assert {f"version:{name}" for name in ("ocspec", *LIBRARIES)} >= {
        path for path in entries(text) if path.startswith("version:")
    }


def test_a_change_is_a_line(mini: Experiment, text: str) -> None:
    model = mini.model.replace(rope_theta=5e5)
    changed = lock_changes(text, lock_of(mini.replace(model=model), Path("specs")))
    spec = [change for change in changed if not change.path.startswith("task:")]
    assert [(c.path, c.kind, c.before, c.after) for c in spec] == [
        ("model.rope_theta", "changed", "10000.0", "500000.0")
    ]
    assert {c.path for c in changed} > {"task:pretrain/train"}
    assert "task:code/sign" not in {c.path for c in changed}


def test_notes_are_left_out(mini: Experiment, text: str) -> None:
    assert lock_of(mini.replace(note="seen by somebody"), Path("specs")) == text


def test_a_path_below_the_spec_is_as_it_is_from_there(
    workplace: Path, experiment_of: Callable[[str], Experiment]
) -> None:
    """A spec may well say `Path(__file__).parent / ...`: its lock is the same in another checkout."""
    text = "files = FILES.replace(path=str({}))\nexperiment = small(data=(code(sources=(files,)),))"
    absolute = experiment_of("from pathlib import Path\n" + text.format('Path(__file__).parent / "files.jsonl"'))
    locked = lock_of(absolute, workplace)
    assert locked == lock_of(experiment_of(text.format('"files.jsonl"')), workplace)
    assert str(workplace) not in locked
    held = HoldOut(repositories=(str(workplace / "alpha"), "beta"))
    assert entries(lock_of(absolute.replace(hold_out=held), workplace))["hold_out.repositories"] == '["alpha", "beta"]'


def test_whatever_a_text_holds_its_line_is_one(workplace: Path, experiment_of: Callable[[str], Experiment]) -> None:
    """Separators of lines, marks that turn the direction of text, halves of surrogate pairs."""
    for text in ("a\u2028b = c", "a\x85b", "a\u202eb", "a\ud800b", "a\nb\r\nc = d"):
        declared = f"Declared(bytes=1, revision={text!r})"
        said = f'FILES.replace(path="not-here.jsonl", declared={declared})'
        experiment = experiment_of(f"experiment = small(data=(code(sources=({said},)),))")
        locked = lock_of(experiment, workplace)
        assert locked.isascii() and len(entries(locked)) == len(locked.splitlines()) - 1
        assert lock_of(experiment, workplace, locked) == locked


def test_the_order_of_lines_is_no_difference(text: str) -> None:
    head, *lines = text.splitlines(keepends=True)
    assert digest(head + "".join(reversed(lines))) == digest(text)


def test_what_cannot_be_seen_is_taken_from_the_lock(
    workplace: Path, experiment_of: Callable[[str], Experiment]
) -> None:
    """Locked where the data is, checked where it is not; but not when the spec names other files by now."""
    experiment = experiment_of("experiment = small()")
    locked = lock_of(experiment, workplace)
    assert entries(locked)["source:files.digest"].startswith("bytes:")
    assert entries(locked)["source:files.files"] == "1"
    (workplace / "files.jsonl").unlink()
    assert lock_of(experiment, workplace, locked) == locked
    with pytest.raises(UserError):
        lock_of(experiment, workplace)
    moved = experiment_of('experiment = small(data=(code(sources=(FILES.replace(path="others.jsonl"),)),))')
    with pytest.raises(UserError):
        lock_of(moved, workplace, locked)


def test_a_source_is_pinned_as_long_as_it_is_described_as_it_was(
    workplace: Path, experiment_of: Callable[[str], Experiment]
) -> None:
    """Whatever else is called like it, or stands beside it; a source of another kind is another source."""
    experiment = experiment_of("experiment = small()")
    locked = lock_of(experiment, workplace)
    known = pins(locked, experiment, workplace).sources["files"]
    assert known.digest == entries(locked)["source:files.digest"]
    for text in (
        'small(data=(code(Redact()), code(name="files", sources=(FILES.replace(name="others"),))))',
        'small(data=(code(sources=(FILES, Directory(name="more", path="repositories"))),))',
        'small(pretrain(name="files"))',
    ):
        assert pins(locked, experiment_of(f"experiment = {text}"), workplace).sources["files"] == known
    dotted = """experiment = small(
        pretrain(mixture=mix("the.code")), data=(code(name="the.code", sources=({},)),)
    )"""
    locked = lock_of(experiment_of(dotted.format("FILES")), workplace)
    moved = experiment_of(dotted.format('FILES.replace(path="others.jsonl")'))
    assert pins(locked, moved, workplace).sources == {}
    other = experiment_of('experiment = small(data=(code(sources=(Parquet(name="files", path="files.jsonl"),)),))')
    assert pins(locked, other, workplace).sources == {}


def test_what_can_be_seen_is_believed_before_the_lock(
    workplace: Path, experiment_of: Callable[[str], Experiment]
) -> None:
    experiment = experiment_of("experiment = small()")
    locked = lock_of(experiment, workplace)
    (workplace / "files.jsonl").write_text('{"repo": "r", "path": "b.py", "content": "y = 2"}\n' * 900)
    changed = {change.path for change in lock_changes(locked, lock_of(experiment, workplace, locked))}
    assert {"source:files.digest", "source:files.bytes", "task:code/sign"} <= changed


def test_the_tokenizer_is_pinned_too(workplace: Path, experiment_of: Callable[[str], Experiment]) -> None:
    (workplace / "tokenizer.json").write_text("{}")
    made = 'PretrainedTokenizer(name={!r}, path="tokenizer.json", vocab_size=300)'
    one, other = (experiment_of(f"experiment = small(tokenizer={made.format(name)})") for name in ("one", "other"))
    locked = lock_of(one, workplace)
    (workplace / "tokenizer.json").unlink()
    assert lock_of(one, workplace, locked) == locked
    assert entries(lock_of(one, workplace))["source:tokenizer"] == "one"
    assert entries(lock_of(other, workplace, locked))["source:tokenizer"] == "other"


def test_sizes_that_are_no_numbers_are_refused(workplace: Path, experiment_of: Callable[[str], Experiment]) -> None:
    locked = lock_of(experiment_of("experiment = small()"), workplace)
    with pytest.raises(UserError, match="no numbers"):
        lock_of(experiment_of("experiment = small()"), workplace, re.sub("files.bytes = .*", "files.bytes = x", locked))


def test_a_file_has_one_lock_and_a_name_has_another(tmp_path: Path) -> None:
    assert lock_file("a/b.py", tmp_path) == tmp_path / "b.lock"
    assert lock_file("a/b.py:arm", tmp_path) == tmp_path / "b.arm.lock"
    assert digest_at(tmp_path / "b.lock") is None
    (tmp_path / "b.lock").write_text("a = 1\n")
    assert digest_at(tmp_path / "b.lock") == digest("# said by hand\na = 1\n") != digest("a = 2\n")


def test_what_is_no_lock_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a lock"):
        entries("<<<<<<< HEAD\nname = 1\n", "a.lock")
    with pytest.raises(UserError, match="`name` stands there twice") as twice:
        entries("name = 1\nseed = 1\nname = 2\n", "a.lock")
    assert twice.value.where == "a.lock:3"
    with pytest.raises(UserError, match="another format, this ocspec reads 1"):
        entries("# ocspec lock, format 2: made by somebody else\nname = 1\n", "a.lock")
    (tmp_path / "b.lock").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="no text"):
        digest_at(tmp_path / "b.lock")
