"""Tests of the back ends as they are installed: they need the training environment (`make install-training`).

`make test-training` runs them there. Where there is no Megatron they are skipped, and say so.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.stacks.bench import Bench

REASON = "needs the training environment: make install-training, make test-training"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this directory, and skip it where there is no Megatron."""
    missing = importlib.util.find_spec("megatron") is None
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.training)
            if missing:
                item.add_marker(pytest.mark.skip(reason=REASON))


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One for all tests of a process: runs that several of them look at are made once."""
    return Bench(tmp_path_factory.mktemp("stacks"))
