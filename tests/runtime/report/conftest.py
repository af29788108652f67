"""The small experiment with nothing built, and with everything built."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler import plan as plans
from tests.runtime.report.small import PLAN, Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The small plan, written, with nothing built and no journal."""
    made = Run(tmp_path, PLAN)
    made.directory.mkdir()
    plans.save(PLAN, made.directory)
    return made


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The small plan with every task finished; not to be changed."""
    made = Run(tmp_path_factory.mktemp("complete"), PLAN)
    made.directory.mkdir()
    plans.save(PLAN, made.directory)
    made.journal.write("run", tasks=len(PLAN.tasks), missing=len(PLAN.tasks))
    for task in PLAN.tasks:
        made.finish(task.id)
    made.journal.write("ended", ran=len(PLAN.tasks), failed=0)
    return made
