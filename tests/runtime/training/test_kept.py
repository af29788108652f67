"""What autograd keeps of a layer is what `compiler.cost.memory` counts, to the element."""

from __future__ import annotations

import attrs
import pytest
import torch

from compiler.cost.memory import layer_activations
from compiler.trainjob import BatchPhase, ModelShape, Recompute, SchedulePhase, TrainJob
from runtime.training.model import DecoderLayer, build_model

BATCH, LENGTH = 2, 16
SHAPE = ModelShape(
    vocab_size=64, hidden_size=32, intermediate_size=88, num_layers=2, num_heads=4, num_kv_heads=2,
    head_dim=8, max_positions=LENGTH,
)  # fmt: skip


def kept_elements(shape: ModelShape, recompute: Recompute) -> float:
    """Elements of fp32 that are held for a token between forward and backward, weights and tables not counted."""
    model = build_model(shape, seed=0)
    for layer in model.model.layers:
        assert isinstance(layer, DecoderLayer)
        layer.recompute = recompute
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    held: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage  # kept alive, so that no other gets its place
        return tensor

    ids = torch.zeros(BATCH, LENGTH, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss, _ = model.loss(ids, ids, BATCH * LENGTH)
    assert loss.requires_grad
    return sum(storage.nbytes() for storage in held.values()) / (4 * BATCH * LENGTH)


@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_a_layer_keeps_what_is_counted(recompute: Recompute) -> None:
    """The difference that one more layer makes."""
    job = TrainJob(
        stage="base",
        kind="pretrain",
        model=SHAPE,
        schedule=(SchedulePhase(shape="constant", steps=1, start=1e-3, end=1e-3),),
        batches=(BatchPhase(steps=1, global_batch=BATCH, sequence_length=LENGTH),),
        recompute=recompute,
    )
    deeper = attrs.evolve(SHAPE, num_layers=3)
    assert kept_elements(deeper, recompute) - kept_elements(SHAPE, recompute) == layer_activations(job)
