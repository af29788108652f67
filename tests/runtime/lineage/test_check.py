"""Every recorded decision is what the code decides anew, for every document and granularity."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import runtime.data.operators.refine as refining
from compiler.compile import compile_experiment
from compiler.errors import UserError
from compiler.profile import Profile
from compiler.write import write_plan
from runtime.lineage.check import check, sample
from runtime.lineage.find import all_records
from runtime.report.built import Built
from runtime.store import Store
from tests.runtime.conftest import tiny
from tests.runtime.lineage.conftest import Looked


def test_what_is_recorded_is_what_is_decided_anew(looked: Looked) -> None:
    """All 27 documents of the corpus, in both data sets, kept and dropped ones."""
    code, chosen = check(*looked, documents=1000)
    for one in (code, chosen):
        assert one.mismatches == ()
        assert sum(one.documents.values()) == one.decisions["code/sign"] == 27
        assert one.documents["kept"] and one.documents["dropped"]
        assert one.decisions["code/refine"] == looked.built.stats("code/refine")["in"]
    assert chosen.decisions["chosen/selectkeywords"] == looked.built.stats("chosen/selectkeywords")["in"]


def test_a_sample_is_half_kept_and_half_dropped_and_goes_by_the_seed(by_file: Looked) -> None:
    """Where one half is short, the other fills up."""
    code = all_records(by_file.built)[0]
    last = by_file.built.stats("code/downsample")["kept"]
    ten = sample(code, 10, seed=0)
    assert ten == sample(code, 10, seed=0) != sample(code, 10, seed=1)
    everything = sample(code, 100, seed=0)
    assert len(set(everything)) == 27
    kept = set(everything[:last])
    assert sum(name in kept for name in ten) == 5
    assert len(sample(code, 26, seed=0)) == 26


def test_a_changed_source_is_noticed(over_copy: Callable[[], Looked], tmp_path: Path) -> None:
    """A text that was edited, one that is no text any more, and one that is gone."""
    looked = over_copy()
    (tmp_path / "corpus/math/heapq.py").write_text("x = 1\n" * 100)
    (tmp_path / "corpus/math/bisect.py").write_bytes(b"\0")
    (tmp_path / "corpus/text-fork/shlex.py").rename(tmp_path / "corpus/text-fork/shlex.txt")
    found = {m.doc_id: m for m in check(*looked, documents=100)[0].mismatches if m.task == "code/sign"}
    assert set(found) == {"local/math/heapq.py", "local/math/bisect.py", "local/text-fork/shlex.py"}
    assert "recorded SHA-256" in found["local/math/heapq.py"].said
    assert "the source changed" in found["local/math/heapq.py"].said
    assert "evaluates to dropped by nul_bytes" in found["local/math/bisect.py"].said


def test_changed_code_is_noticed(by_file: Looked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that forget to look, while the text is what it was."""
    monkeypatch.setattr(refining, "first_failing", lambda *_: None)
    mismatches = check(*by_file, documents=100)[0].mismatches
    dropped = by_file.built.stats("code/refine")["dropped"]
    own = dropped.get("long_imports", 0)
    assert len(mismatches) == sum(dropped.values()) - own > 0
    for mismatch in mismatches:
        assert mismatch.task == "code/refine"
        assert mismatch.said.startswith("recorded dropped by ")
        assert mismatch.said.endswith("the code changed, the text did not")


def test_nothing_built_is_said(tmp_path: Path, corpus: Path) -> None:
    path = write_plan(compile_experiment(tiny(corpus), tmp_path, 1), tmp_path / "build", tmp_path, Profile())
    with pytest.raises(UserError, match="no data set of 'tiny' is built yet"):
        check(Built.look(path, Store(tmp_path / "store")), tmp_path, 10)
