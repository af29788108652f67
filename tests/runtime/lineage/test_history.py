"""The history of documents: what is said of each step, for documents of every fate."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler import ir
from compiler.errors import UserError
from compiler.plan import Task
from runtime.lineage.facts import History, StepHistory
from runtime.lineage.find import find
from runtime.lineage.history import histories
from runtime.lineage.recorded import kept_output
from tests.runtime.lineage.conftest import Looked


def of(looked: Looked, name: str) -> dict[str, History]:
    """The histories of a document by data set."""
    return {history.dataset: history for history in histories(*looked, find(looked.built, name))}


def steps(history: History) -> dict[str, StepHistory]:
    return {step.step: step for step in history.steps}


def test_a_kept_document_passed_every_step(by_file: Looked) -> None:
    """With its cluster, all its rules, and who reads it."""
    code = of(by_file, "text-fork/difflib.py")["code"]
    assert (code.position, code.repo, code.path, code.language, code.doc_type) == (
        23,
        "text-fork",
        "difflib.py",
        "python",
        "code",
    )
    assert {step.state for step in code.steps} == {"kept"}
    assert steps(code)["deduplicate"].stands_for == 1
    rules = steps(code)["filter"].rules
    assert {"num_lines_min", "few_lines", "long_imports"} <= {rule.rule for rule in rules}
    assert not any(rule.drops or rule.first for rule in rules)
    (own,) = (rule for rule in rules if rule.rule == "long_imports")
    assert set(own.values) == {"num_lines", "frac_lines_import"}
    read_by = {(use.what, use.stage, use.share) for use in code.uses}
    assert read_by == {
        ("tokenizer", "", None),
        ("tokens", "pretrain", 1.0),
        ("tokens", "anneal", 0.8),
        ("pairs", "sft", None),
    }


def test_a_near_duplicate_names_its_representative_and_how_near_it_is(by_file: Looked) -> None:
    """One line was added to the other: the Jaccard index is high and below 1."""
    code = of(by_file, "text/difflib.py")["code"]
    step = steps(code)["deduplicate"]
    assert step.state == "dropped" and step.drop is not None
    assert (step.drop.rule, step.drop.kept) == ("near_duplicate", "local/text-fork/difflib.py")
    assert step.similarity is not None and 0.99 < step.similarity < 1
    assert step.stands_for == 1
    assert [s.state for s in code.steps[-2:]] == ["not reached"] * 2
    assert code.uses == ()


def test_an_exact_twin_of_a_held_out_document(by_file: Looked) -> None:
    drop = steps(of(by_file, "text/textwrap.py")["code"])["hold-out"].drop
    assert drop is not None and (drop.rule, drop.kept) == ("held_out_exact", "local/held/textwrap.py")


def test_a_held_out_document_is_said_to_be(by_file: Looked) -> None:
    assert of(by_file, "held/argparse.py")["code"].held_out


@pytest.mark.parametrize(("name", "rule"), [("broken.py", "undecodable"), ("notes.unknown", "unknown_language")])
def test_a_document_that_was_never_admitted(by_file: Looked, name: str, rule: str) -> None:
    """It has no key row, and is found in its source by its id."""
    code = of(by_file, name)["code"]
    admit = steps(code)["admit"]
    assert admit.state == "dropped" and admit.drop is not None and admit.drop.rule == rule
    assert admit.evaluated and not code.mismatches


def test_a_document_that_a_rule_dropped_shows_every_rule(by_file: Looked) -> None:
    """The first that fires is marked, and so are others that would."""
    dropped = by_file.built.stats("code/refine")["dropped"]
    assert dropped["long_imports"] > 0
    marked = 0
    for name in ("local/math/bisect.py", "local/math/decimal.py", "local/files/fnmatch.py"):
        found = [h for h in histories(*by_file, name) if h.dataset == "code"]
        for step in (s for h in found for s in h.steps if s.step == "filter" and s.state == "dropped"):
            (first,) = (rule for rule in step.rules if rule.first)
            assert step.drop is not None and first.rule == step.drop.rule and first.drops
            assert step.drop.value in (None, *first.values.values())
            marked += 1
    assert marked >= 2


def test_a_selection_tells_its_own_data_set_only(by_file: Looked) -> None:
    """glob.py names no keyword: it is in one data set and not in the other."""
    both = of(by_file, "files/glob.py")
    assert both["code"].dropped_by is None
    last = both["chosen"].steps[-1]
    assert last.state == "dropped" and last.drop is not None and last.drop.rule == "no_keyword" and last.evaluated


def test_a_document_without_some_of_its_chunks(looked: Looked) -> None:
    """By chunk: the decisions about chunks; by repository: the repository that is kept."""
    code = of(looked, "text/difflib.py")["code"]
    (cluster,) = (task.op for task in looked.built.plan.tasks if task.id == "code/deduplicate/cluster")
    step = steps(code)["deduplicate"]
    if cluster.granularity == "chunk":
        assert step.drop is None and len(step.chunks) > 5
        assert all(drop.kept and "#" in drop.kept for drop in step.chunks.values())
    elif cluster.granularity == "repository":
        other = of(looked, "text-fork/difflib.py")["code"]
        dropped, kept = sorted((step, steps(other)["deduplicate"]), key=lambda s: s.state)
        assert dropped.drop is not None and "/" not in str(dropped.drop.kept)
        assert dropped.stands_for == kept.stands_for > 1
        assert dropped.similarity is None


def test_ids_are_found_by_their_end_or_a_part(by_file: Looked) -> None:
    """A whole id wins over those that it is part of."""
    assert find(by_file.built, "math/heapq.py") == "local/math/heapq.py"
    assert find(by_file.built, "heapq") == "local/math/heapq.py"
    assert find(by_file.built, "local/held/textwrap.py") == "local/held/textwrap.py"
    with pytest.raises(UserError, match=r"part of several ids:\s+local/held/textwrap.py\s+local/text-fork/textwrap"):
        find(by_file.built, "textwrap.py")
    with pytest.raises(UserError, match=r"did you mean local/math/heapq\.py or "):
        find(by_file.built, "local/math/heapqq.py")


def test_a_missing_source_is_one_clear_error(by_file: Looked, tmp_path: Path) -> None:
    """Relative sources start at the base; here the source is absolute, so its readers are asked for another."""
    from compiler import ir
    from runtime.lineage.reread import Rereader

    reader = ir.Reader(source="local", format="directory", location=str(tmp_path / "none"))
    with pytest.raises(UserError, match="is not a directory"):
        list(Rereader(((reader, ()),)).at([0]))


def test_documents_have_no_position_before_they_are_read() -> None:
    """What a fetch wrote cannot be asked by position; what refine wrote can."""
    assert kept_output(Task(id="code/fetch-p", op=ir.FetchPackages(source="p", packages=()))) is None
    assert kept_output(Task(id="code/refine", op=ir.Refine(dataset="code", readers=()))) == "documents"
    assert kept_output(Task(id="code/sign", op=ir.Sign(dataset="code", readers=()))) == "keys"
