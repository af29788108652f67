"""Tokens, steps and curves in the plan, checked by hand and against each other."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.banding import Banding
from compiler.passes.budget import CURVE_AT
from compiler.plan import Plan


def test_a_small_stage_by_hand(compiled: Callable[[str], Plan]) -> None:
    """10 steps of 4 sequences of 64 tokens."""
    (stage,) = compiled("experiment = small()").stages
    assert (stage.name, stage.kind, stage.task) == ("base", "pretrain", "base/train")
    assert (stage.steps, stage.instances, stage.tokens, stage.devices) == (10, 40, 2560, 1)
    assert (stage.first_lr, stage.last_lr) == (0.0, 1e-3)
    assert stage.batches == ({"steps": 10, "global_batch": 4, "sequence_length": 64, "tokens": 2560},)
    assert stage.start_step is None


def test_phases_add_up(full_scale: dict[str, Plan]) -> None:
    """Of every stage: steps, sequences and tokens are sums over its phases."""
    for plan in full_scale.values():
        for stage in plan.stages:
            assert stage.steps == sum(batch["steps"] for batch in stage.batches)
            assert stage.instances == sum(batch["steps"] * batch["global_batch"] for batch in stage.batches)
            assert stage.tokens == sum(batch["tokens"] for batch in stage.batches)


def test_each_near_deduplication_has_its_curve(compiled: Callable[[str], Plan]) -> None:
    """Exact ones have none."""
    plan = compiled("""
steps = [Deduplicate(granularity="repository", near=MinHash(bands=128, rows=16)), Deduplicate(near=None), Deduplicate()]
experiment = small(data=(code(*steps),))
""")
    found = [(curve.step, curve.granularity, curve.bands, curve.rows) for curve in plan.deduplication]
    assert found == [("code/deduplicate", "repository", 128, 16), ("code/deduplicate#3", "file", 16, 128)]
    assert [round(curve.threshold, 3) for curve in plan.deduplication] == [0.738, 0.979]
    for curve in plan.deduplication:
        assert tuple(j for j, _ in curve.curve) == CURVE_AT
        assert [p for _, p in curve.curve] == sorted(p for _, p in curve.curve)
        assert curve.chosen_for is None


def test_a_threshold_is_shown_with_the_bands_and_rows_chosen_for_it(compiled: Callable[[str], Plan]) -> None:
    """Beside the threshold of their own curve, which is another number."""
    plan = compiled("experiment = small(data=(code(Deduplicate(near=MinHash(threshold=0.85))),))")
    (curve,) = plan.deduplication
    assert (curve.bands, curve.rows, curve.chosen_for) == (13, 19, 0.85)
    assert curve.threshold == round((1 / 13) ** (1 / 19), 6)


@given(st.integers(1, 64), st.integers(1, 64), st.floats(0, 1))
def test_the_curve_rises_from_nothing_to_certainty(bands: int, rows: int, jaccard: float) -> None:
    """And at the threshold about 1 - 1/e of the pairs are caught."""
    chosen = Banding(bands, rows)
    assert chosen.collision(0.0) == 0.0
    assert chosen.collision(1.0) == 1.0
    assert 0.0 <= chosen.collision(jaccard) <= chosen.collision(min(1.0, jaccard + 0.01)) <= 1.0
    if bands > 8:
        assert chosen.collision(chosen.threshold) == pytest.approx(1 - 1 / math.e, abs=0.03)
