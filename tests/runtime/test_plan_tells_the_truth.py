"""What a plan says would be rebuilt is what differs when it has run: thirty random mutations of the tiny experiment.

A task that the plan does not touch has the very bytes that it had. One that it does touch has other bytes, or was cut
off before it ran, or ran and wrote the same again: early cut-off starts there. With `-s` the counts are printed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.plan import Plan
from runtime.run import Summary
from tests.property.mutations import mutations
from tests.runtime.conftest import Workbench, tiny
from tests.runtime.truth import truths

NUMBER = 30


@pytest.mark.slow
def test_plans_of_thirty_mutations_say_what_happens(finished: tuple[Workbench, Plan, Path, Summary]) -> None:
    """Nothing runs that the plan did not name, and nothing differs that did not run."""
    bench, before, _, _ = finished
    mutated = [(said, plan) for said, _, plan in mutations(tiny(bench.corpus), bench.root, NUMBER, seed=6, shards=1)]
    seen = list(truths(mutated, before, bench.root, bench.store, bench.root, bench.run))
    assert len(seen) == NUMBER
    for one in seen:
        print(*map(len, (one.rebuilt, one.differs, one.cut_off, one.failed)), one.mutation, *sorted(one.same_again))
    for one in seen:
        assert one.is_as_said, one
        assert not one.cut_off & one.differs, one.mutation
    assert sum(bool(one.differs) for one in seen) >= NUMBER // 4
    assert sum(len(one.cut_off) for one in seen) > 0
