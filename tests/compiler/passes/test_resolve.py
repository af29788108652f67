"""What the compiler learns of files before anything runs: digests, sizes, and what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from compiler.errors import UserErrors
from compiler.plan import Plan

TOKENIZER = 'PretrainedTokenizer(name="own", path="{path}", vocab_size=300{more})'


@pytest.fixture
def with_tokenizer(compiled: Callable[[str], Plan]) -> Callable[..., Plan]:
    """Compile with a tokenizer made elsewhere."""

    def run(path: str = "tokenizer.json", more: str = "") -> Plan:
        return compiled(f"experiment = small(tokenizer={TOKENIZER.format(path=path, more=more)})")

    return run


def test_an_edited_tokenizer_is_seen(workplace: Path, with_tokenizer: Callable[..., Plan]) -> None:
    """Its content is its identity, wherever it lies."""
    (workplace / "tokenizer.json").write_text("{}")
    before = with_tokenizer()
    (workplace / "copy.json").write_text("{}")
    assert with_tokenizer("copy.json").task("tokenizer").fingerprint == before.task("tokenizer").fingerprint
    (workplace / "tokenizer.json").write_text("{ }")
    after = with_tokenizer()
    changed = {task.id for task in after.tasks if task.fingerprint != before.task(task.id).fingerprint}
    assert {"tokenizer", "code/encode", "base/train"} <= changed
    assert "code/refine" not in changed


def test_a_tokenizer_that_is_not_here_is_known_by_its_digest(
    workplace: Path, with_tokenizer: Callable[..., Plan]
) -> None:
    """As it is given, and it is the same when the file is seen; without one by its name."""
    digest = hashlib.sha256(b"{}").hexdigest()
    absent = with_tokenizer("absent.json", f', digest="{digest}"').task("tokenizer")
    (workplace / "tokenizer.json").write_text("{}")
    assert with_tokenizer().task("tokenizer").fingerprint == absent.fingerprint
    assert with_tokenizer("absent.json").task("tokenizer").op.digest == "own"


def test_a_tokenizer_that_is_not_what_was_pinned_is_refused(
    workplace: Path, with_tokenizer: Callable[..., Plan]
) -> None:
    """With both digests."""
    (workplace / "tokenizer.json").write_text("{}")
    with pytest.raises(UserErrors) as error:
        with_tokenizer(more=f', digest="{"0" * 64}"')
    (problem,) = error.value.problems
    assert problem.what == f"tokenizer 'own' is {hashlib.sha256(b'{}').hexdigest()}, not {'0' * 64} [OC016]"
    assert problem.where == "spec.py:2"


def test_a_declared_source_is_looked_at_where_it_can_be_seen(workplace: Path, compiled: Callable[[str], Plan]) -> None:
    """The declaration is for where it cannot."""
    text = """
files = JsonLines(name="files", path="{}", declared=Declared(tokens=5000, revision="r1"))
experiment = small(data=(code(sources=(files,)),))
"""
    seen, absent = (compiled(text.format(path)).task("code/sign").op.readers[0] for path in ("files.jsonl", "gone"))
    assert seen.digest.startswith("bytes:")
    assert absent.digest == "declared:files@r1"


def test_paths_may_hold_variables_and_start_at_the_spec(
    workplace: Path, compiled: Callable[[str], Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the plan keeps them as they are written: another machine has another value."""
    monkeypatch.setenv("PLACE", str(workplace))
    text = 'experiment = small(data=(code(sources=(JsonLines(name="files", path="{}"),)),))'
    readers = [
        compiled(text.format(path)).task("code/sign").op.readers[0] for path in ("${PLACE}/files.jsonl", "files.jsonl")
    ]
    assert [reader.location for reader in readers] == ["${PLACE}/files.jsonl", "files.jsonl"]
    assert readers[0].digest == readers[1].digest
