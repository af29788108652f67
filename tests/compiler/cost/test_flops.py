"""Floating-point operations, counted by hand for a tiny job and held against 6ND for a large one."""

from __future__ import annotations

import attrs
import pytest

from compiler.cost.flops import training_flops
from compiler.plan import Plan
from compiler.trainjob import BatchPhase, ModelShape, SchedulePhase, TrainJob

# One layer of width 4 with two heads of 2, one of them for keys and values; a vocabulary of 10.
SHAPE = ModelShape(
    vocab_size=10, hidden_size=4, intermediate_size=6, num_layers=1, num_heads=2, num_kv_heads=1,
    head_dim=2, max_positions=8,
)  # fmt: skip
# Query and output 4 x 4 each, key and value 4 x 2 each, three matrices 4 x 6, two norms of 4.
LAYER = 2 * 16 + 2 * 8 + 3 * 24 + 2 * 4


def job(model: ModelShape = SHAPE, **batch: int) -> TrainJob:
    sizes = {"steps": 3, "global_batch": 5, "sequence_length": 8, **batch}
    return TrainJob(
        stage="base",
        kind="pretrain",
        model=model,
        schedule=(SchedulePhase(shape="constant", steps=sizes["steps"], start=1e-3, end=1e-3),),
        batches=(BatchPhase(**sizes),),
    )


def test_parameters_by_hand() -> None:
    """Both embeddings, the layer, and the last norm."""
    assert SHAPE.layer_parameters == LAYER == 128
    assert SHAPE.embedding_parameters == 80
    assert SHAPE.parameters == 80 + 128 + 4
    assert attrs.evolve(SHAPE, tied_embeddings=True).parameters == 40 + 128 + 4


def test_operations_by_hand() -> None:
    """120 tokens; 6 for each parameter but the input embedding; attention 6 x layers x width x length, masked."""
    multiplying = 40 + 128 + 4
    attention = 6 * 1 * (2 * 2) * 8
    assert training_flops(job()) == 120 * (6 * multiplying + attention)


def test_a_tied_embedding_multiplies_once() -> None:
    """As output projection."""
    assert training_flops(job(attrs.evolve(SHAPE, tied_embeddings=True))) == training_flops(job())


def test_operations_grow_with_tokens_and_attention_with_length() -> None:
    """Twice the steps is twice the work; twice the length is more than twice."""
    assert training_flops(job(steps=6)) == 2 * training_flops(job())
    assert training_flops(job(sequence_length=16)) > 2 * training_flops(job())
    assert isinstance(training_flops(job()), int)


@pytest.mark.parametrize("size", ["1_5b", "8b"])
def test_the_rule_of_thumb_holds_for_large_models(full_scale: dict[str, Plan], size: str) -> None:
    """6ND to a few percent; without the input embedding, attention adds about a seventh."""
    plan = full_scale[size]
    stage = plan.stage("pretrain")
    model = plan.task(stage.task).op.job.model
    multiplying = plan.parameters - model.vocab_size * model.hidden_size
    assert 1.0 < stage.flops / (6 * multiplying * stage.tokens) < 1.15
    assert stage.flops == pytest.approx(6 * plan.parameters * stage.tokens, rel=0.06)
