"""HumanEval and MBPP in real corpora of algorithms: how many documents each rule finds. Wants OCSPEC_TEST_DATA."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa
import pytest

from compiler import ir
from ocspec import TestSet
from runtime.data.contamination.evidence import gather_evidence
from runtime.data.contamination.items import Item, read_items
from runtime.data.contamination.search import Searcher

DATA = Path(os.environ.get("OCSPEC_TEST_DATA", "/nonexistent"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="OCSPEC_TEST_DATA names no directory with real data")

# Of each corpus: the file, and how many documents it has.
CORPORA = {
    "anneal/algo_TheAlgorithms_Python": 1164,
    "anneal/algo_TheAlgorithms_Java": 1588,
    "anneal/algo_keon_algorithms": 429,
    "sft2_code/mbpp_train_601_974": 374,
}
PLAIN: dict[str, Any] = {"entry_points": "ignored", "template_items": 0, "numbers": True}
STOP = ("write a function to", "write a python function to")


@pytest.fixture(scope="module")
def corpora() -> list[pa.Array]:
    found = []
    for name, count in CORPORA.items():
        with gzip.open(DATA / f"{name}.jsonl.gz", "rt") as stream:
            rows = [json.loads(line) for line in stream]
        texts = [row["text"] if "text" in row else f"{row['instruction']}\n{row['output']}" for row in rows]
        assert len(texts) == count
        found.append(pa.array(texts, pa.large_string()))
    return found


@pytest.fixture(scope="module")
def items() -> list[Item]:
    sets = TestSet.humaneval(str(DATA / "humaneval/HumanEval.jsonl.gz")), TestSet.mbpp(str(DATA / "mbpp/mbpp.jsonl.gz"))
    found = [item for one in sets for item in read_items(lowered(one), one.path)]
    assert len(found) == 164 + 500
    assert all(item.entry_point for item in found)
    return found


def lowered(benchmark: TestSet) -> ir.TestSet:
    return ir.TestSet(**benchmark.model_dump(exclude={"path", "declared"}))


@pytest.mark.parametrize(
    ("changes", "documents"),
    [
        # Any shared 10-gram: the counts that the data comes with, to the document.
        (PLAIN, [47, 23, 10, 95]),
        # Most hits in code are runs of numbers such as "0 1 2 3 4 5 6 7 8 9" ...
        ({**PLAIN, "numbers": False}, [33, 10, 10, 95]),
        # ... and few are phrases of three or more test items: 34 n-grams of MBPP, none of HumanEval.
        ({**PLAIN, "template_items": 3}, [46, 23, 9, 92]),
        ({"entry_points": "ignored"}, [32, 10, 9, 92]),
        # The phrasing of MBPP's instructions, which its training split shares with one or two test items at a time.
        ({"entry_points": "ignored", "stop_phrases": STOP}, [32, 10, 9, 83]),
        # The defaults: definitions of functions called as the items' are, `is_prime` above all.
        ({}, [81, 10, 26, 103]),
        # To the letter, names such as `add` and `f` drop almost everything.
        ({**PLAIN, "entry_points": "mentioned", "entry_point_parts": 1}, [991, 1015, 339, 309]),
    ],
    ids=["plain", "no numbers", "templates", "both", "stop phrases", "defaults", "mentioned"],
)
def test_documents_that_each_rule_finds(
    corpora: list[pa.Array], items: list[Item], changes: dict[str, Any], documents: list[int]
) -> None:
    how = attrs.evolve(ir.DecontaminatePairs(benchmarks=(), ngram=10), **changes)
    search = Searcher(gather_evidence(items, how), how)
    assert [len(search.search(texts)) for texts in corpora] == documents


def test_templates(items: list[Item]) -> None:
    """Idioms of code and openings of questions, of MBPP only."""
    how = ir.DecontaminatePairs(benchmarks=(), ngram=10)
    templates = {one.phrase: one.items for one in gather_evidence(items, how).excused if one.reason == "template"}
    assert len(templates) == 34
    assert templates["if re search patterns text return found a match else"] == 7
    assert templates["write a function to find the surface area of a"] == 4


@pytest.mark.parametrize("name", ["cpp", "go", "java", "js", "lua", "php", "rs", "sh", "ts"])
def test_multipl_e_names_its_functions(name: str) -> None:
    """Each prompt ends in the head of the function asked for."""
    benchmark = TestSet.multipl_e(str(DATA / f"multipl_e/humaneval-{name}.jsonl.gz"))
    found = read_items(lowered(benchmark), benchmark.path)
    assert len(found) >= 150
    assert all(f"{item.entry_point}" in item.texts[0].rstrip().rsplit("\n", 1)[-1] for item in found)
    assert all(item.entry_point for item in found)


@pytest.mark.parametrize(
    ("benchmark", "path", "count"),
    [
        (TestSet.humaneval, "humaneval/HumanEvalPlus.jsonl.gz", 164),
        (TestSet.humaneval, "mbpp/MbppPlus.jsonl.gz", 378),
        (TestSet.mbxp, "mbxp/mbgp_release_v1.1.jsonl.gz", 939),
        (TestSet.mbxp, "mbxp/mbjp_release_v1.2.jsonl.gz", 966),
        (TestSet.bigcodebench, "bigcodebench/BigCodeBench_Hard.jsonl.gz", 148),
    ],
)
def test_other_benchmarks_are_read_too(benchmark: Any, path: str, count: int) -> None:
    """And leave something to look for in nearly every item; BigCodeBench's one name is a template."""
    one = benchmark(str(DATA / path))
    evidence = gather_evidence(read_items(lowered(one), one.path), ir.DecontaminatePairs(benchmarks=(), ngram=10))
    assert len(evidence.items) == count
    assert sum(map(evidence.is_looked_for, range(count))) > 0.95 * count
    assert ("task_func" in evidence.names) is False
