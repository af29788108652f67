"""Memory of a rank: terms counted by hand for a tiny shape, and the paper's 34 sbh where its layer is this one."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from compiler.cost.memory import layer_activations, layers_in_flight, parameters_of, rank_memory
from compiler.trainjob import BatchPhase, ModelShape, Parallelism, SchedulePhase, TrainJob

# Two layers of width 8 with four heads of 2, two of them for keys and values; feed-forward 12, vocabulary 32.
SHAPE = ModelShape(
    vocab_size=32, hidden_size=8, intermediate_size=12, num_layers=2, num_heads=4, num_kv_heads=2,
    head_dim=2, max_positions=16,
)  # fmt: skip
TABLE = 32 * 8
MATRICES = 2 * 8 * 8 + 2 * 8 * 4 + 3 * 8 * 12  # query and output, key and value, SwiGLU
LAYER = MATRICES + 2 * 8


def job(model: ModelShape = SHAPE, backend: Any = "megatron", **changes: Any) -> TrainJob:
    split = changes.pop("split", {})
    return TrainJob(
        stage="base",
        kind="pretrain",
        model=model,
        schedule=(SchedulePhase(shape="constant", steps=1, start=1e-3, end=1e-3),),
        batches=(BatchPhase(steps=1, global_batch=16, sequence_length=10),),
        micro_batch=2,
        backend=backend,
        parallelism=Parallelism(**split),
        **changes,
    )


def test_the_whole_rank_by_hand() -> None:
    """bf16 on one device: 2 + 4 + 12 bytes a parameter, 20 tokens of each layer, logits in fp32."""
    found = rank_memory(job())
    parameters = 2 * TABLE + 2 * LAYER + 8
    assert parameters == SHAPE.parameters
    assert (found.weights, found.gradients, found.optimizer) == (2 * parameters, 4 * parameters, 12 * parameters)
    kept = 4 * 8 + 2 * 8 + 2 * 4 + 3 * 12  # norms and inputs, q and attention's result, k and v, SwiGLU
    assert found.activations == 20 * 2 * kept * 2
    assert found.logits == 20 * (2 * 8 * 2 + 4 * 32)
    assert found.total == 18 * parameters + found.activations + found.logits


def test_the_papers_constant() -> None:
    """Korthikanti's 34 sbh bytes: GELU's 4h instead of SwiGLU's 8h/3 weigh as much, the masks of two dropouts are 2."""
    model = attrs.evolve(SHAPE, hidden_size=24, num_heads=12, num_kv_heads=12, head_dim=2, intermediate_size=64)
    assert 2 * layer_activations(job(model)) == (34 - 2) * 24


def test_tensor_parallel_with_and_without_sequences() -> None:
    """The paper's 10 + 24 / t without its masks: 8 sbh stay whole, unless sequence parallelism splits them, too."""
    model = attrs.evolve(SHAPE, hidden_size=24, num_heads=12, num_kv_heads=12, head_dim=2, intermediate_size=64)
    whole = 2 * layer_activations(job(model, split={"tensor": 4}))
    assert whole == (8 + 24 / 4) * 24
    assert 2 * layer_activations(job(model, split={"tensor": 4, "sequence_parallel": True})) == 32 / 4 * 24


def test_full_recomputation_keeps_inputs_and_one_layer() -> None:
    """Of two layers their inputs, and one whole layer while it is computed again."""
    none, full = rank_memory(job()), rank_memory(job(recompute="full"))
    assert full.activations == 20 * 2 * (2 * 8 + none.activations // (20 * 2 * 2))


def test_a_distributed_optimizer_splits_its_state_alone() -> None:
    """6 + 12 / ranks bytes a parameter, over data and context."""
    split = {"data": 2, "context": 2, "distributed_optimizer": True}
    found, parameters = rank_memory(job(split=split)), SHAPE.parameters
    assert (found.weights, found.gradients, found.optimizer) == (2 * parameters, 4 * parameters, 3 * parameters)


def test_fully_sharded_training_splits_all_but_two_layers() -> None:
    """Those that are gathered."""
    found, parameters = rank_memory(job(split={"data": 4, "fully_sharded": True})), SHAPE.parameters
    assert found.gradients == parameters
    assert found.optimizer == 3 * parameters
    assert found.weights == parameters // 2 + 2 * 2 * LAYER


def test_stages_of_a_pipeline() -> None:
    """The first holds a table and as many micro batches as there are stages, the last the other table and the norm."""
    split = {"pipeline": 2}
    assert parameters_of(job(split=split), 0) == TABLE + LAYER
    assert parameters_of(job(split=split), 1) == TABLE + LAYER + 8
    many, one = (BatchPhase(steps=1, global_batch=size, sequence_length=10) for size in (16, 2))
    assert layers_in_flight(job(split=split), many, 0) == 2
    assert layers_in_flight(job(split=split), many, 1) == 1
    assert layers_in_flight(job(split=split), one, 0) == 1


def test_phases_are_never_there_at_once() -> None:
    """Many short sequences, then few long ones: the rank needs the more of the two, not one's number of the other."""
    short = BatchPhase(steps=1, global_batch=16, sequence_length=10)
    long = BatchPhase(steps=1, global_batch=2, sequence_length=15)
    alone = [
        rank_memory(attrs.evolve(job(split={"pipeline": 2}), batches=phases))
        for phases in ((short,), (long,), (short, long))
    ]
    assert alone[2].total == max(alone[0].total, alone[1].total)


def test_tied_embeddings_are_on_both_ends() -> None:
    """Each end of a pipeline has the table; one device has it once."""
    tied = attrs.evolve(SHAPE, tied_embeddings=True)
    assert parameters_of(job(tied), 0) == tied.parameters
    assert parameters_of(job(tied, split={"pipeline": 2}), 0) == TABLE + LAYER


def test_torch_keeps_fp32_weights_and_no_logits() -> None:
    """4 bytes each of weight and gradient, 8 of moments; eager SwiGLU keeps four wide tensors, norms a number each.

    A batch of 16 is eight micro batches, and the gradients of one are there while the next goes forward.
    """
    found, parameters = rank_memory(job(backend="torch"), element=4), SHAPE.parameters
    assert (found.weights, found.gradients, found.optimizer) == (4 * parameters, 4 * parameters, 8 * parameters)
    assert found.activations == 20 * 2 * 4 * (4 * 8 + 2 + 2 * 8 + 2 * 4 + 4 + 4 * 12)
    assert found.logits == 20 * 2 * 8 * 4


@pytest.mark.parametrize("length", [10, 1])
def test_torch_makes_gradients_while_activations_go(length: int) -> None:
    """With one micro batch a step there is never all of both, since no gradient outlives its step."""
    one = BatchPhase(steps=1, global_batch=2, sequence_length=length)
    several = attrs.evolve(one, global_batch=4)
    alone, after = (
        rank_memory(attrs.evolve(job(backend="torch"), batches=(phase,)), element=4) for phase in (one, several)
    )
    assert after.gradients == 4 * SHAPE.parameters
    assert alone.gradients + alone.activations == max(after.gradients, after.activations)
    assert alone.activations == after.activations


def test_torch_copies_in_bf16_what_it_multiplies() -> None:
    """Matrices and the output table; norms and the table that tokens are looked up in stay as they are."""
    bf16, parameters = rank_memory(job(backend="torch"), element=2), SHAPE.parameters
    assert bf16.weights == 4 * parameters + 2 * (2 * MATRICES + TABLE)


@pytest.mark.parametrize("axis", ["tensor", "context"])
def test_a_split_never_takes_more(axis: str) -> None:
    """Of a model that it divides."""
    assert rank_memory(job(split={axis: 2})).total < rank_memory(job()).total
