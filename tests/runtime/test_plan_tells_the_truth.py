"""What a plan says would be rebuilt is what differs when it has run: thirty random mutations of the tiny experiment.

A task that the plan does not touch has the very bytes that it had. One that it does touch has other bytes, or was cut
off before it ran, or ran and wrote the same again: early cut-off starts there. With `-s` the counts are printed.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import attrs
import pytest

from compiler.diff import diff_plans
from compiler.plan import Plan
from compiler.profile import Profile
from compiler.write import write_plan
from runtime.reasons import outlook
from runtime.run import Summary
from runtime.store import Store
from tests.property.mutations import mutations
from tests.runtime.conftest import Workbench, tiny

NUMBER = 30


@attrs.frozen
class Truth:
    """Of one mutation, as sets of tasks.

    What the diff of the plans said and what a look into the store said; what ran, was cut off or failed; whose bytes
    differ.
    """

    said: str
    rebuilt: frozenset[str]
    looked: frozenset[str]
    ran: frozenset[str]
    cut_off: frozenset[str]
    failed: frozenset[str]
    differs: frozenset[str]


def digests(plan: Plan, store: Store) -> dict[str, Any]:
    """The digest of what each task has made."""
    found = {task.id: store.find(task.fingerprint) for task in plan.tasks}
    return {task: artifact.manifest["digest"] for task, artifact in found.items() if artifact}


def truth(said: str, before: Plan, after: Plan, bench: Workbench, old: Store, new: Store) -> Truth:
    """Run a mutated plan beside what the first left, and look."""
    diff = diff_plans(before, after)
    looked = frozenset(one.task.id for one in outlook(after, new) if one.action != "reuse")
    path = write_plan(after, bench.root / "mutated", bench.root, Profile())
    summary = bench.run(after, path, store=new)
    was, now = digests(before, old), digests(after, new)
    names = {task.fingerprint: task.id for task in before.tasks}  # what was renamed is compared with what it was
    known = {task.id: was.get(task.id, was.get(names.get(task.fingerprint, ""))) for task in after.tasks}
    return Truth(
        said,
        frozenset(diff.ids("rebuild", "may cut off", "new")),
        looked,
        frozenset(summary.ran),
        frozenset(summary.cut_off),
        frozenset((*summary.failed, *summary.cancelled)),
        frozenset(task for task, digest in now.items() if known[task] != digest),
    )


def truths(before: Plan, bench: Workbench, number: int, seed: int = 6) -> list[Truth]:
    """That of every mutation, each in a copy of the store."""
    found = []
    for said, _, after in mutations(tiny(bench.corpus), bench.root, number, seed):
        shutil.copytree(bench.store.root, copy := bench.root / "copy", copy_function=_link)
        shutil.rmtree(copy / "work", ignore_errors=True)
        found.append(truth(said, before, after, bench, bench.store, Store(copy)))
        shutil.rmtree(copy)
        shutil.rmtree(bench.root / "mutated")
    return found


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


@pytest.mark.slow
def test_plans_of_thirty_mutations_say_what_happens(finished: tuple[Workbench, Plan, Path, Summary]) -> None:
    """Nothing runs that the plan did not name, and nothing differs that did not run."""
    bench, before, _, _ = finished
    seen = truths(before, bench, NUMBER)
    assert len(seen) == NUMBER
    for one in seen:
        sizes = [len(tasks) for tasks in (one.rebuilt, one.ran, one.differs, one.cut_off, one.failed)]
        print(*sizes, one.said, *sorted(one.ran - one.differs))
    for one in seen:
        assert one.ran | one.cut_off | one.failed == one.rebuilt == one.looked, one.said
        assert one.differs <= one.ran, one.said
        assert not one.cut_off & one.differs, one.said
    assert sum(bool(one.differs) for one in seen) >= NUMBER // 4
    assert sum(len(one.cut_off) for one in seen) > 0
