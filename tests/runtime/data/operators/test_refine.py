"""refine: survivors only, redacted, judged, with the language and the mark that sign gave them."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

from compiler import ir
from compiler.errors import UserError
from compiler.quality_rules import ExpressionRule, QualityRule
from runtime.data.histograms import bin_of
from runtime.data.operators import refine as refine_module
from runtime.data.operators.refine import refine
from runtime.task import Artifact
from tests.runtime.data.operators.conftest import Bench, dealt, document, documents_of, rows, text

KEPT = pa.schema({"position": pa.int64(), "language": pa.string(), "held_out": pa.bool_(), "sha256": pa.binary()})
READERS = (ir.Reader(source="s", format="documents"),)
SHORT = QualityRule(name="short", signal="num_lines", comparison="<", threshold=2, doc_types=("code",))


def refined(
    bench: Bench,
    found: list[dict[str, Any]],
    kept: list[tuple[str, str | None, bool]],
    shards: int = 1,
    output: str = "kept",
    **op: Any,
) -> Artifact:
    """What refine makes of documents, of which the step before left some: (id, language, held out)."""
    positions = dealt(found, 2)
    left = sorted((positions[doc_id], doc_id, language, held_out) for doc_id, language, held_out in kept)
    digests = {row["doc_id"]: hashlib.sha256(row["content"].encode()).digest() for row in found}
    names = ("position", "doc_id", "language", "held_out")
    verdicts = [{**dict(zip(names, row, strict=True)), "sha256": digests[row[1]]} for row in left]
    schema = KEPT if output == "kept" else KEPT.append(pa.field("doc_id", pa.string()))
    inputs = {"fetched__s": [documents_of(bench, found, files=2)], "kept": [bench.table(output, verdicts, schema)]}
    return bench.run(refine, ir.Refine(dataset="d", readers=READERS, **op), shards, **inputs)


def test_survivors_keep_the_language_and_the_mark_of_sign(bench: Bench) -> None:
    """Not what the source says; all other columns as they were, and the size of the text."""
    found = [
        document("r/a.py", "x = 1\n", language="Ruby", stars=3, commit_time=9),
        document("r/b.py", "ü\n"),
        document("r/gone.py", "x\n"),
    ]
    artifact = refined(bench, found, [("r/a.py", "python", True), ("r/b.py", None, False)])
    assert text(artifact, "documents") == (
        "r/a.py | s | r | a.py | python | 3 | 9 | x = 1\n | 6 | True | 0\n"
        "r/b.py | s | r | b.py | None | 0 | 0 | ü\n | 3 | False | 2\n"
    )
    assert text(artifact, "dropped") == ""
    assert artifact.manifest["stats"]["in"] == artifact.manifest["stats"]["kept"] == 2


def test_where_no_step_came_before_all_admitted_documents_are_kept(bench: Bench) -> None:
    """sign's keys stand in for kept rows."""
    kept = [("r/a.py", "python", False)]
    artifact = refined(bench, [document("r/a.py", "x\n")], kept, output="keys")
    assert text(artifact, "documents", "doc_id") == "r/a.py\n"


def test_redactions_are_counted(bench: Bench) -> None:
    """By kind, over all documents; what is not asked for is left alone."""
    notice = "# Copyright 2020 A. Author\n# All rights reserved.\n\nx = 1\n"
    mail = "# write to someone@mail.dev or other@mail.dev\nx = 1\n"
    found = [document("r/a.py", notice), document("r/b.py", mail), document("r/c.py", "x = 1\n")]
    kept = [(f"r/{name}.py", "python", False) for name in "abc"]
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
    kept = [("r/long.py", "python", False), ("r/short.py", "python", False), ("r/short.md", "markdown", False)]
    artifact = refined(bench, found, kept, rules=(SHORT,))
    assert text(artifact, "dropped") == "r/short.py | filter | short | 1.0 | 2.0 | None\n"
    assert text(artifact, "documents", "doc_id") == "r/long.py\nr/short.md\n"
    stats = artifact.manifest["stats"]
    assert (stats["in"], stats["kept"], stats["dropped"]) == (3, 2, {"short": 1})


def test_shards_do_not_change_the_documents(bench: Bench) -> None:
    """Each survivor comes once."""
    found = [document(f"r/{n}.py", f"x = {n}\n" * (1 + n % 3)) for n in range(20)]
    kept = [(f"r/{n}.py", "python", n == 3) for n in range(0, 20, 2)]
    one, three = (refined(bench, found, kept, shards, rules=(SHORT,)) for shards in (1, 3))
    for output in ("documents", "dropped"):
        assert text(one, output) == text(three, output) != ""


def test_ids_that_occur_twice_are_named(bench: Bench) -> None:
    """No step before may have looked: the keys themselves tell."""
    keys = [{"position": n, "doc_id": doc_id, "language": None, "held_out": False} for n, doc_id in enumerate("aab")]
    inputs = {"fetched__s": [documents_of(bench, [])], "kept": [bench.table("keys", keys)]}
    with pytest.raises(UserError, match=r"document ids are not unique: 'a' 2 times") as error:
        bench.run(refine, ir.Refine(dataset="d", readers=READERS), **inputs)
    assert "map doc_id" in error.value.fix


def test_a_rule_in_sql_judges_what_the_other_rules_keep(bench: Bench) -> None:
    """Without value and threshold; the first rule that is true is named; columns are those of the document."""
    found = [
        document("r/long.py", "x = 1\ny = 2\nz = 3\n", stars=5),
        document("r/poor.py", "x = 1\ny = 2\n", stars=0),
        document("r/short.py", "x = 1", stars=0),
        document("r/words.md", "words\nwords\n", stars=0),
    ]
    kept = [(row["doc_id"], "markdown" if row["doc_id"].endswith("md") else "python", False) for row in found]
    few = ExpressionRule(name="few", where="num_lines < 3 AND stars = 0 AND bytes < 99", doc_types=("code", "data"))
    late = ExpressionRule(name="late", where="path LIKE '%.py' AND repo = 'r'")
    artifact = refined(bench, found, kept, rules=(SHORT,), expressions=(few, late))
    assert text(artifact, "dropped") == (
        "r/long.py | filter | late | None | None | None\n"
        "r/poor.py | filter | few | None | None | None\n"
        "r/short.py | filter | short | 1.0 | 2.0 | None\n"
    )
    assert text(artifact, "documents", "doc_id") == "r/words.md\n"
    assert artifact.manifest["stats"]["dropped"] == {"short": 1, "few": 1, "late": 1}


def test_rules_in_sql_do_not_depend_on_shards(bench: Bench) -> None:
    """Nor does the order of what they drop."""
    found = [document(f"r/{n}.py", f"x = {n}\n" * (1 + n % 4)) for n in range(40)]
    kept = [(f"r/{n}.py", "python", False) for n in range(40)]
    rules = {"rules": (SHORT,), "expressions": (ExpressionRule(name="three", where="num_lines = 3"),)}
    one, three = (refined(bench, found, kept, shards, **rules) for shards in (1, 3))
    for output in ("documents", "dropped"):
        assert text(one, output) == text(three, output) != ""


def test_a_rule_with_a_probability_chooses_by_the_id(bench: Bench) -> None:
    """The same documents in any number of shards; neither all nor none."""
    found = [document(f"r/{n}.py", "x = 1\n") for n in range(40)]
    kept = [(f"r/{n}.py", "python", False) for n in range(40)]
    rule = QualityRule(name="often", signal="num_lines", comparison="<", threshold=2, probability=0.5)
    one, three = (refined(bench, found, kept, shards, rules=(rule,)) for shards in (1, 3))
    assert text(one, "dropped") == text(three, "dropped")
    dropped = {row["doc_id"] for row in rows(one, "dropped")}
    assert dropped == {row["doc_id"] for row in found if rule.drops(1.0, row["doc_id"])} and 5 < len(dropped) < 35


def test_the_values_that_rules_saw_are_counted(bench: Bench) -> None:
    """By signal, type of document and bin, summed over shards; what no rule looked at is not there."""
    found = [document(f"r/{n}.py", "x = 1\n" * (1 + n)) for n in range(4)] + [document("r/a.md", "words\n")]
    kept = [(row["doc_id"], "markdown" if row["doc_id"].endswith("md") else "python", False) for row in found]
    few = ExpressionRule(name="few", where="num_words < 1", doc_types=("text",))
    one, three = (refined(bench, found, kept, shards, rules=(SHORT,), expressions=(few,)) for shards in (1, 3))
    bins = {lines: str(bin_of("num_lines", lines)) for lines in (1, 2, 3, 4)}
    assert len(set(bins.values())) == 4
    expected = {
        "num_lines": {"code": dict.fromkeys(bins.values(), 1)},
        "num_words": {"text": {str(bin_of("num_words", 1)): 1}},
    }
    assert one.manifest["stats"]["signals"] == expected
    summed: dict[tuple[str, str, str], int] = Counter()
    for shard in three.manifest["stats"]:
        summed.update(flat(shard["signals"]))
    assert summed == flat(expected)


def flat(tree: dict[str, dict[str, dict[str, int]]]) -> dict[tuple[str, str, str], int]:
    """Counts by signal, type and bin."""
    return {
        (signal, kind, b): n for signal, kinds in tree.items() for kind, bins in kinds.items() for b, n in bins.items()
    }


def test_the_name_of_a_file_reaches_its_signals(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules about test files look at the path."""
    paths: list[str] = []
    real = refine_module.SignalValues
    monkeypatch.setattr(refine_module, "SignalValues", lambda *args: paths.append(args[3]) or real(*args))
    refined(bench, [document("r/a_test.go", "package a\n")], [("r/a_test.go", "go", False)], rules=(SHORT,))
    assert paths == ["a_test.go"]


def test_a_source_that_changed_since_it_was_signed_is_refused(bench: Bench) -> None:
    """Another text at a document's place, as after a file before it was removed: its name, and what to do."""
    verdict = {"position": 1, "language": "python", "held_out": True, "sha256": hashlib.sha256(b"x = 1\n").digest()}
    found = [document("r/a.py", "y = 2\n"), document("r/c.py", "z = 3\n")]
    inputs = {"fetched__s": [documents_of(bench, found)], "kept": [bench.table("kept", [verdict], KEPT)]}
    with pytest.raises(UserError, match=r"the source changed since it was signed: at the place of 'r/c\.py'") as error:
        bench.run(refine, ir.Refine(dataset="d", readers=READERS), **inputs)
    assert "submit again" in error.value.fix
