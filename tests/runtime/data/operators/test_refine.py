"""refine: survivors only, redacted, judged, with the language and the mark that sign gave them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from compiler import ir
from compiler.errors import UserError
from compiler.quality_rules import QualityRule
from runtime.data.operators.refine import refine
from runtime.task import Artifact
from tests.runtime.data.operators.conftest import Bench, document, documents_of, rows, text

KEPT = pa.schema({"doc_id": pa.string(), "repo": pa.string(), "language": pa.string(), "held_out": pa.bool_()})
READERS = (ir.Reader(source="s", format="documents"),)
SHORT = QualityRule(name="short", signal="num_lines", comparison="<", threshold=2, doc_types=("code",))


def kept_of(bench: Bench, *found: tuple[str, str | None, bool], output: str = "kept", files: int = 1) -> Artifact:
    """What the step before left: (id, language, held out)."""
    names = ("doc_id", "language", "held_out")
    return bench.table(output, [{**dict(zip(names, row, strict=True)), "repo": "r"} for row in found], KEPT, files)


def refined(bench: Bench, found: list[dict[str, Any]], kept: Artifact, shards: int = 1, **op: Any) -> Artifact:
    """What refine makes of documents."""
    operator = ir.Refine(dataset="d", readers=READERS, **op)
    inputs = {"fetched__s": [documents_of(bench, found, files=2)], "kept": [kept]}
    return bench.run(refine, operator, shards, **inputs)


def test_survivors_keep_the_language_and_the_mark_of_sign(bench: Bench) -> None:
    """Not what the source says; all other columns as they were, and the size of the text."""
    found = [
        document("r/a.py", "x = 1\n", language="Ruby", stars=3, commit_time=9),
        document("r/b.py", "ü\n"),
        document("r/gone.py", "x\n"),
    ]
    artifact = refined(bench, found, kept_of(bench, ("r/a.py", "python", True), ("r/b.py", None, False)))
    assert text(artifact, "documents") == (
        "r/a.py | s | r | a.py | python | 3 | 9 | x = 1\n | 6 | True\n"
        "r/b.py | s | r | b.py | None | 0 | 0 | ü\n | 3 | False\n"
    )
    assert text(artifact, "dropped") == ""
    assert artifact.manifest["stats"]["in"] == artifact.manifest["stats"]["kept"] == 2


def test_where_no_step_came_before_all_admitted_documents_are_kept(bench: Bench) -> None:
    """sign's keys stand in for kept rows."""
    kept = kept_of(bench, ("r/a.py", "python", False), output="keys")
    assert text(refined(bench, [document("r/a.py", "x\n")], kept), "documents", "doc_id") == "r/a.py\n"


def test_redactions_are_counted(bench: Bench) -> None:
    """By kind, over all documents; what is not asked for is left alone."""
    notice = "# Copyright 2020 A. Author\n# All rights reserved.\n\nx = 1\n"
    mail = "# write to someone@mail.dev or other@mail.dev\nx = 1\n"
    found = [document("r/a.py", notice), document("r/b.py", mail), document("r/c.py", "x = 1\n")]
    kept = kept_of(bench, *((f"r/{name}.py", "python", False) for name in "abc"))
    both = refined(bench, found, kept, redact_copyright=True, redact_pii=True)
    texts = {row["doc_id"]: row["content"] for row in rows(both, "documents")}
    assert texts["r/a.py"].strip() == "x = 1" and texts["r/c.py"] == "x = 1\n"
    assert "@mail.dev" not in texts["r/b.py"]
    counts = both.manifest["stats"]["redactions"]
    assert counts == {"copyright": 1, "email": 2}, counts
    neither = refined(bench, found, kept)
    assert {row["doc_id"]: row["content"] for row in rows(neither, "documents")}["r/b.py"] == mail
    assert neither.manifest["stats"]["redactions"] == {}


def test_a_rule_drops_with_its_value_and_threshold(bench: Bench) -> None:
    """Only documents of the rule's kind; in = kept + dropped."""
    found = [
        document("r/long.py", "x = 1\ny = 2\n"),
        document("r/short.py", "x = 1"),
        document("r/short.md", "words"),
    ]
    kept = kept_of(
        bench, ("r/long.py", "python", False), ("r/short.py", "python", False), ("r/short.md", "markdown", False)
    )
    artifact = refined(bench, found, kept, rules=(SHORT,))
    assert text(artifact, "dropped") == "r/short.py | filter | short | 1.0 | 2.0 | None\n"
    assert text(artifact, "documents", "doc_id") == "r/long.py\nr/short.md\n"
    stats = artifact.manifest["stats"]
    assert (stats["in"], stats["kept"], stats["dropped"]) == (3, 2, {"short": 1})


def test_shards_do_not_change_the_documents(bench: Bench) -> None:
    """Each survivor comes once."""
    found = [document(f"r/{n}.py", f"x = {n}\n" * (1 + n % 3)) for n in range(20)]
    kept = kept_of(bench, *((f"r/{n}.py", "python", n == 3) for n in range(0, 20, 2)), files=2)
    one, three = (refined(bench, found, kept, shards, rules=(SHORT,)) for shards in (1, 3))
    for output in ("documents", "dropped"):
        assert text(one, output) == text(three, output) != ""


def test_ids_that_occur_twice_are_named(bench: Bench) -> None:
    """No step before may have looked: the survivors themselves tell."""
    found = [document("r/a.py", "x\n"), document("r/a.py", "y\n")]
    kept = kept_of(bench, ("r/a.py", "python", False), ("r/a.py", "python", False), ("r/b.py", None, False))
    with pytest.raises(UserError, match=r"document ids are not unique: 'r/a\.py' 2 times") as error:
        refined(bench, found, kept)
    assert "map doc_id" in error.value.fix
