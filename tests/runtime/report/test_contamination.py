"""Decontamination in a whole run: compiled, run over shards, submitted again, and told in the report."""

from __future__ import annotations

import difflib
import heapq
import json
from pathlib import Path

import pytest

from compiler.errors import UserErrors
from ocspec import Dataset, Decontaminate, SelectKeywords, TestSet
from runtime.report import build, gather
from runtime.run import refuse
from runtime.store import Store
from tests.runtime.conftest import Workbench, tiny

TASKS = ("chosen/decontaminate", "instructions/functions/decontaminate")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Workbench:
    return Workbench(tmp_path_factory.mktemp("contamination"), corpus)


@pytest.fixture(scope="module")
def own_set(bench: Workbench) -> Path:
    """Two items that stand in the standard library, and one that does not."""
    heap, match = (str(function.__doc__)[:200] for function in (heapq.merge, difflib.get_close_matches))
    items = [("a", heap, "heap_sort"), ("b", match, ""), ("c", "paint the tired elephants blue", "paint_elephants")]
    path = bench.root / "own.jsonl"
    path.write_text("".join(json.dumps({"task_id": i, "text": t, "name": n}) + "\n" for i, t, n in items))
    return path


@pytest.fixture(scope="module")
def ran(bench: Workbench, own_set: Path):
    """Both kinds of decontamination, run in two shards."""
    own = TestSet(name="own", path="own.jsonl", texts=("text",), entry_point="name")
    clean = Decontaminate(benchmarks=(own,), ngram=8)
    steps = (SelectKeywords(keywords=("heap", "sequence")), clean)
    experiment = tiny(bench.corpus)
    data = (experiment.data[0], Dataset(name="chosen", base="code", steps=steps))
    plan, path = bench.compile(experiment.replace(data=data, decontaminate_instructions=clean), shards=2)
    summaries = [bench.run(plan, path, until=task) for task in TASKS]
    assert [summary.failed for summary in summaries] == [(), ()]
    return plan, path


def test_the_report_says_what_was_hit(bench: Workbench, ran) -> None:
    """By step and test set; in is kept and dropped."""
    data = gather.gather(ran[1], bench.store)
    documents, pairs = data.contamination
    assert (documents.task, pairs.task) == TASKS
    assert (documents.benchmark, documents.items, documents.looked_for, documents.templates) == ("own", 3, 3, 0)
    assert dict(documents.by_item).keys() == {"a", "b"}
    assert pairs.by_item.get("b") == pairs.documents > 0
    (chosen,) = [dataset for dataset in data.datasets if dataset.name == "chosen"]
    last = chosen.steps[-1]
    assert last.dropped == {"shared_ngram": documents.documents}
    assert last.documents == last.kept + documents.documents
    page = build.render(data)
    assert "Benchmarks found in the data" in page
    assert f"<span>a <b>{documents.by_item['a']}</b></span>" in page


def test_before_it_ran_the_report_says_so(bench: Workbench, ran) -> None:
    data = gather.gather(ran[1], Store(bench.root / "empty"))
    assert [row.items for row in data.contamination] == [None, None]
    assert "not built yet" in build.render(data)


def test_a_test_set_that_changed_since_compiling_is_refused(bench: Workbench, ran, own_set: Path) -> None:
    """Like any source, by name."""
    before = own_set.read_text()
    own_set.write_text(before + before.replace('"a"', '"d"'))
    try:
        with pytest.raises(UserErrors, match="source 'own' has changed since the plan was compiled"):
            refuse(ran[0], bench.root, Store(bench.root / "empty"))
    finally:
        own_set.write_text(before)
