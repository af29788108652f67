"""What a plan says of a change, and what happens when it runs: both, as sets of tasks, for one mutation after another.

Not a test: `test_plan_tells_the_truth` holds it on the tiny experiment, `benchmarks/plan_truth.py` on the miniature.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs

from compiler.diff import diff_plans
from compiler.plan import Plan
from compiler.profile import Profile
from compiler.write import write_plan
from runtime.reasons import outlook
from runtime.run import Summary
from runtime.store import Store

Run = Callable[[Plan, Path, Store], Summary]


@attrs.frozen(kw_only=True)
class Truth:
    """Of one mutation, as sets of tasks.

    What the diff of the plans said and what a look into the store said; what ran, was cut off or failed; whose bytes
    differ.
    """

    mutation: str
    rebuilt: frozenset[str]
    looked: frozenset[str]
    ran: frozenset[str]
    cut_off: frozenset[str]
    failed: frozenset[str]
    differs: frozenset[str]

    @property
    def same_again(self) -> frozenset[str]:
        """What ran and wrote the bytes that were there before: early cut-off starts there."""
        return self.ran - self.differs

    @property
    def is_as_said(self) -> bool:
        """Nothing runs that the plan did not name, all that it named does, and nothing differs that did not run."""
        happened = self.ran | self.cut_off | self.failed
        return happened == self.rebuilt == self.looked and self.differs <= self.ran


def truths(
    mutated: Iterable[tuple[str, Plan]], before: Plan, base: Path, store: Store, scratch: Path, run: Run
) -> Iterator[Truth]:
    """Run each mutated plan on a copy, below `scratch`, of the store that holds all of `before`."""
    copy, out = scratch / "copy", scratch / "mutated"
    for mutation, after in mutated:
        shutil.copytree(store.root, copy, copy_function=_link)
        shutil.rmtree(copy / "work", ignore_errors=True)
        yield _truth(mutation, before, after, write_plan(after, out, base, Profile()), store, Store(copy), run)
        shutil.rmtree(copy)
        shutil.rmtree(out)


def _truth(mutation: str, before: Plan, after: Plan, path: Path, old: Store, new: Store, run: Run) -> Truth:
    rebuilt = frozenset(diff_plans(before, after).ids("rebuild", "may cut off", "new"))
    looked = frozenset(one.task.id for one in outlook(after, new) if one.action != "reuse")
    summary = run(after, path, new)
    was, now = _digests(before, old), _digests(after, new)
    names = {task.fingerprint: task.id for task in before.tasks}  # what was renamed is compared with what it was
    known = {task.id: was.get(task.id, was.get(names.get(task.fingerprint, ""))) for task in after.tasks}
    return Truth(
        mutation=mutation,
        rebuilt=rebuilt,
        looked=looked,
        ran=frozenset(summary.ran),
        cut_off=frozenset(summary.cut_off),
        failed=frozenset((*summary.failed, *summary.cancelled)),
        differs=frozenset(task for task, digest in now.items() if known[task] != digest),
    )


def _digests(plan: Plan, store: Store) -> dict[str, Any]:
    found = {task.id: store.find(task.fingerprint) for task in plan.tasks}
    return {task: artifact.manifest["digest"] for task, artifact in found.items() if artifact}


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)
