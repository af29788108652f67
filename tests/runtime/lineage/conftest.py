"""The data steps of the tiny experiment, run once for each granularity of deduplication."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from ocspec import Deduplicate, Experiment, Filter, Rule
from runtime.report.built import Built
from tests.runtime.conftest import Workbench, tiny


class Looked(NamedTuple):
    """Something built, and where its sources' relative paths start."""

    built: Built
    base: Path


def changed(corpus: Path, granularity: str) -> Experiment:
    """The tiny experiment, deduplicated otherwise, with two more rules, one of them in SQL."""
    experiment = tiny(corpus)
    code, chosen = experiment.data
    options = {"chunk_tokens": 512} if granularity == "chunk" else {}
    own = Filter(
        rules=(
            Rule(name="few_lines", signal="num_lines", comparison="<", threshold=200),
            Rule(name="long_imports", where="num_lines > 300 AND frac_lines_import > 0.012"),
        )
    )
    steps = (
        step.replace(granularity=granularity, **options)
        if isinstance(step, Deduplicate)
        else own
        if isinstance(step, Filter)
        else step
        for step in code.steps
    )
    return experiment.replace(name=f"by-{granularity}", data=(code.replace(steps=tuple(steps)), chosen))


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Callable[[str], Looked]:
    """The data steps by granularity, each run once. Not to be changed."""
    return cache(lambda granularity: _run(tmp_path_factory.mktemp(granularity), corpus, granularity))


@pytest.fixture(params=["file", "repository", "chunk"])
def looked(request: pytest.FixtureRequest, build: Callable[[str], Looked]) -> Looked:
    """The data steps, finished, for each granularity."""
    return build(request.param)


@pytest.fixture
def by_file(build: Callable[[str], Looked]) -> Looked:
    """The data steps, deduplicated by file."""
    return build("file")


@pytest.fixture
def over_copy(tmp_path: Path, corpus: Path) -> Callable[[], Looked]:
    """The data steps over a copy of the corpus at `tmp_path / "corpus"`, which a test may change afterwards."""
    copy = tmp_path / "corpus"
    shutil.copytree(corpus, copy)
    return lambda: _run(tmp_path, copy, "file")


def _run(root: Path, corpus: Path, granularity: str) -> Looked:
    bench = Workbench(root, corpus)
    plan, path = bench.compile(changed(corpus, granularity))
    summary = bench.run(plan, path, until="chosen/selectkeywords")
    assert not summary.failed, summary
    return Looked(Built.look(path, bench.store), root)
