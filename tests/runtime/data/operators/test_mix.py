"""Draws: budgets met to the sequence, what blend.json says, and too few samples."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler import ir
from compiler.errors import UserError
from runtime.data.indexed import IndexedWriter
from runtime.data.operators.mix import draw, draw_samples
from runtime.task import Artifact
from tests.runtime.data.operators.conftest import Bench


def tokens_of(bench: Bench, *lengths: int) -> Artifact:
    """Token files of documents of these lengths."""
    path = bench.directory()
    (path / "tokens").mkdir()
    with IndexedWriter(path / "tokens" / "tokens", np.uint16) as writer:
        for length in lengths:
            writer.add(np.arange(length, dtype=np.uint16))
    return Artifact(path=path)


def blend_of(artifact: Artifact) -> dict[str, Any]:
    """What blend.json says."""
    found: dict[str, Any] = json.loads((artifact.path / "blend" / "blend.json").read_text())
    return found


def share(dataset: str, part: str, max_epochs: int = 1) -> ir.DatasetShare:
    """A data set's part of the mixture."""
    return ir.DatasetShare(dataset=dataset, share=Fraction(part), max_epochs=Fraction(max_epochs))


def test_budgets_are_met_to_the_sequence(bench: Bench) -> None:
    """Shares of each phase by the largest remainder; each order file is one phase."""
    phases = (ir.DrawPhase(instances=10, sequence_length=8), ir.DrawPhase(instances=5, sequence_length=16))
    op = ir.Draw(stage="s", shares=(share("a", "2/3"), share("b", "1/3")), phases=phases, seed=3)
    inputs = [tokens_of(bench, 100, 101), tokens_of(bench, 161)]
    artifact = bench.run(draw, op, tokens=inputs)
    assert blend_of(artifact) == {
        "format_version": 1,
        "datasets": [
            {"name": "a", "available": 201, "drawn": 10},
            {"name": "b", "available": 161, "drawn": 5},
        ],
        "phases": [
            {"sequence_length": 8, "instances": 10, "order": "order-0.npy"},
            {"sequence_length": 16, "instances": 5, "order": "order-1.npy"},
        ],
    }
    orders = [np.load(artifact.path / "blend" / f"order-{n}.npy") for n in (0, 1)]
    assert [np.bincount(order[:, 0]).tolist() for order in orders] == [[7, 3], [3, 2]]
    for order, phase in zip(orders, phases, strict=True):
        last = np.where(order[:, 0] == 0, 201, 161) - phase.sequence_length
        assert (order[:, 1] % phase.sequence_length == 0).all() and (order[:, 1] < last).all()
    assert artifact.manifest["stats"] == {"drawn": {"a": 10, "b": 5}}
    again = bench.run(draw, op, tokens=inputs)
    assert (again.path / "blend/order-0.npy").read_bytes() == (artifact.path / "blend/order-0.npy").read_bytes()


def test_a_budget_above_the_data_writes_nothing(bench: Bench) -> None:
    """The data set, what is asked, what there is, and the epochs allowed."""
    phases = (ir.DrawPhase(instances=30, sequence_length=8),)
    op = ir.Draw(stage="s", shares=(share("a", "1", max_epochs=2),), phases=phases)
    ctx = bench.context(op, tokens=[tokens_of(bench, 81)])
    with pytest.raises(
        UserError, match=r"30 sequences .* 10 windows of 8 tokens \(81 tokens\): 3 epochs, more than the 2 allow"
    ):
        draw(op, ctx)
    assert not any(path.is_file() for path in Path(ctx.out).rglob("*"))


def samples_op(**changes: Any) -> ir.DrawSamples:
    """Two epochs over two sources, three steps of four samples."""
    values = {"stage": "sft", "datasets": ("a", "b"), "epochs": 2, "global_batch": 4, "sequence_length": 64, "steps": 3}
    return ir.DrawSamples(**{**values, **changes})


def test_samples_are_drawn_in_whole_epochs_and_cut_to_the_steps(bench: Bench) -> None:
    """Twelve of the fourteen of two epochs over 4 + 3 samples; no sample more than twice."""
    inputs = [tokens_of(bench, 5, 6, 7, 8), tokens_of(bench, 9, 9, 9)]
    artifact = bench.run(draw_samples, samples_op(), tokens=inputs)
    order = np.load(artifact.path / "blend" / "order-0.npy")
    assert order.shape == (12, 2)
    assert np.unique(order[:7], axis=0).tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0], [1, 1], [1, 2]]
    assert np.unique(order, axis=0, return_counts=True)[1].max() == 2
    blend = blend_of(artifact)
    assert [dataset["available"] for dataset in blend["datasets"]] == [4, 3]
    assert sum(dataset["drawn"] for dataset in blend["datasets"]) == 12
    assert blend["phases"] == [{"sequence_length": 64, "instances": 12, "order": "order-0.npy"}]


def test_too_few_samples_are_told_with_their_numbers(bench: Bench) -> None:
    """And with how many steps there would be."""
    inputs = [tokens_of(bench, 5, 6, 7, 8), tokens_of(bench, 9, 9, 9)]
    with pytest.raises(UserError) as error:
        bench.run(draw_samples, samples_op(steps=4), tokens=inputs)
    assert error.value.what == "stage 'sft' wants 4 steps of 4 = 16 samples; there are 7 in each of 2 epochs = 14"
    assert error.value.fix == "lower steps to 3 or raise epochs"
