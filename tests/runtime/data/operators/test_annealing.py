"""The algorithmic corpus, on real code: the paper's three keywords find what they name, and leave the rest.

Reads `anneal/algo_*.jsonl.gz` below the directory that OCSPEC_TEST_DATA names, and is skipped without it.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from compiler import ir
from runtime.data.operators.selections import select
from tests.runtime.data.operators.conftest import Bench, refined, refined_of, selected

KEYWORDS = ("leetcode", "def solution", "class solution")


def corpora() -> dict[str, list[str]]:
    """Texts by corpus."""
    root = os.environ.get("OCSPEC_TEST_DATA")
    if not root or not Path(root, "anneal").is_dir():
        pytest.skip("OCSPEC_TEST_DATA names no directory with anneal/")
    found = {}
    for path in sorted(Path(root, "anneal").glob("algo_*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            found[path.name.removesuffix(".jsonl.gz")] = [json.loads(line)["text"] for line in stream]
    return found


def test_keywords_choose_the_algorithmic_corpus(bench: Bench) -> None:
    """Exactly the texts that Python finds a keyword in; solutions of exercises, some percent of algorithms."""
    expected, rows = set(), []
    for corpus, texts in corpora().items():
        for number, text in enumerate(texts):
            rows.append(refined(f"{corpus}/{number}", text))
            if any(keyword in text.lower() for keyword in KEYWORDS):
                expected.add(f"{corpus}/{number}")
    documents = refined_of(bench, rows)
    artifact = bench.run(select, ir.Select(step="k", keywords=tuple(sorted(KEYWORDS))), documents=[documents])
    assert set(selected(documents, artifact)) == expected
    assert 0.01 < len(expected) / len(rows) < 0.25
