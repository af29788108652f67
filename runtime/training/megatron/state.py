"""Weights and moments of a Megatron model: into it from Hugging Face's names, and out of it, whatever the split.

Not the format of any checkpoint but a bridge between two: Megatron's distributed ones, in which a run goes on at any
number of ranks, and the portable state that every back end writes and reads (`checkpoint`, `sealed`). Megatron's
sharded state says of each local tensor which part of which key it is; all here rests on that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from compiler.trainjob import ModelShape
from runtime.training.handover import MOMENTS
from runtime.training.megatron import names
from runtime.training.megatron.build import Built

_MASTERS = (
    "param",
    "fp32_param",
)  # weights in float32: where the optimizer is distributed, and where the model is bf16
# The optimizer's state in the shapes of the weights, so that it can be read at another split over ranks.
_METADATA = {"distrib_optim_sharding_type": "fully_reshardable"}
_OPTIMIZER = "optimizer.state."

Source = Callable[[str, str], Tensor]
"""Gives the whole tensor of a kind ("weight", "exp_avg", "exp_avg_sq") and a Hugging Face name."""


def tree(built: Built, *, loading: bool) -> dict[str, Any]:
    """Megatron's sharded state of model and optimizer. Every rank calls it: some kinds gather on the way."""
    weights = built.model.sharded_state_dict()
    moments = built.optimizer.sharded_state_dict(weights, is_loading=loading, metadata=_METADATA)
    return {"model": built.model.sharded_state_dict(), "optimizer": moments}


def save(built: Built, directory: Path) -> None:
    """Write a distributed checkpoint into an empty directory that all ranks see."""
    from megatron.core import dist_checkpointing

    state = tree(built, loading=False)
    with _as_error():
        dist_checkpointing.save(state, str(directory))


def load(built: Built, directory: Path, shape: ModelShape, *, distributed: bool, steps: int) -> None:
    """Take up a distributed checkpoint, of any number of ranks and any split.

    Megatron's format differs between a `distributed` optimizer and one that is not: where this is the other kind, every
    rank reads the tensors themselves, which takes the memory of all; `steps` are the updates behind them.
    """
    from megatron.core import dist_checkpointing

    if distributed != built.distributed:
        found = {kind: whole(directory, shape, kind) for kind in ("weight", *MOMENTS)}
        fill(built, shape, lambda kind, name: found[kind][name], steps)
        return
    state = tree(built, loading=True)
    with _as_error():
        loaded = dist_checkpointing.load(state, str(directory))
    _take(built, loaded)


@contextmanager
def _as_error() -> Iterator[None]:
    """Torch's checkpoints fail with what is no Exception, and no one would catch."""
    from torch.distributed.checkpoint.api import CheckpointException

    try:
        yield
    except CheckpointException as failed:
        raise RuntimeError(" ".join(str(failed).split())) from failed


def fill(built: Built, shape: ModelShape, source: Source, steps: int = 0) -> None:
    """Fill model and optimizer from whole tensors; `steps` are the updates behind the moments, zeros where it is 0."""
    from megatron.core.dist_checkpointing.dict_utils import extract_matching_values, merge
    from megatron.core.dist_checkpointing.mapping import ShardedTensor, apply_factory_merges
    from megatron.core.dist_checkpointing.state_dict_utils import load_preprocess

    state, local, factories = load_preprocess(tree(built, loading=True))
    parts, rest = extract_matching_values(state, lambda value: isinstance(value, ShardedTensor))
    merge(rest, _each(parts, lambda part: _part(part, shape, source, steps)))
    merge(rest, local)
    filled = apply_factory_merges(rest, factories)
    _set_steps(built, filled["optimizer"], steps)
    _take(built, filled)


def _each(parts: Any, function: Callable[[Any], Tensor]) -> Any:
    """The nested dicts and lists with the function's value in place of every leaf."""
    if isinstance(parts, dict):
        return {name: _each(value, function) for name, value in parts.items()}
    return [_each(value, function) for value in parts] if isinstance(parts, list) else function(parts)


def _part(part: Any, shape: ModelShape, source: Source, steps: int) -> Tensor:
    """The local part of a whole tensor: its layer, and of that this rank's rows or columns."""
    kind, key = kind_and_key(part.key)
    if kind in MOMENTS and not steps:
        return torch.zeros(part.local_shape, dtype=part.dtype)
    layer = part.global_offset[0] if part.prepend_axis_num else None
    whole = names.join(shape, key, layer, lambda name: source(kind, name))
    offsets = part.global_offset[part.prepend_axis_num :]
    cut = tuple(slice(start, start + size) for start, size in zip(offsets, part.local_shape, strict=True))
    return whole[cut].to(part.dtype).contiguous()


def kind_and_key(name: str) -> tuple[str, str]:
    """What a name in a distributed checkpoint stands for; weights in float32 are weights, whoever keeps them.

    >>> kind_and_key("optimizer.state.exp_avg.output_layer.weight"), kind_and_key("output_layer.weight")
    (('exp_avg', 'output_layer.weight'), ('weight', 'output_layer.weight'))
    """
    if not name.startswith(_OPTIMIZER):
        return "weight", name
    kind, _, key = name.removeprefix(_OPTIMIZER).partition(".")
    return ("weight" if kind in _MASTERS else kind), key


def _set_steps(built: Built, optimizer: dict[str, Any], steps: int) -> None:
    """Write down the updates behind the moments, on which AdamW's correction of their bias depends.

    torch's AdamW counts beside each weight, fused ones in each group, and so does Megatron's distributed optimizer.
    """
    inner = optimizer.get("optimizer", optimizer)
    if built.counts_by_weight and not built.distributed:
        inner["state"]["common_step"] = torch.tensor(float(steps))
        return
    for group in inner["param_groups"]:
        group["step"] = float(steps) if built.counts_by_weight else steps


def _take(built: Built, state: Mapping[str, Any]) -> None:
    """Load what has no longer any sharded part. Extra state, which only layers in FP8 have, is left as it is."""
    weights = {name: value for name, value in state["model"].items() if isinstance(value, Tensor)}
    missing, unexpected = built.model.load_state_dict(weights, strict=False)
    assert not unexpected, unexpected
    assert all(name.endswith("_extra_state") for name in missing), missing
    built.optimizer.load_state_dict(state["optimizer"])
    if built.counts_by_weight:
        for moments in _states(built):
            moments["step"] = moments["step"].clone()  # Megatron gives all weights one tensor, which each would count


def _states(built: Built) -> Iterator[dict[str, Tensor]]:
    """What the optimizer keeps beside each weight of this rank."""
    for optimizer in built.optimizer.chained_optimizers:
        yield from optimizer.optimizer.state.values()


def optimizer_steps(built: Built) -> int:
    """Updates behind the moments, over all stages that shared them."""
    counts = _states(built) if built.counts_by_weight else built.optimizer.param_groups
    return int(next((each["step"] for each in counts if "step" in each), 0))


def whole(directory: Path, shape: ModelShape, kind: str) -> dict[str, Tensor]:
    """All tensors of a kind in a distributed checkpoint, by Hugging Face name, in float32 where it has that.

    One process reads; no group is needed.
    """
    from torch.distributed.checkpoint.filesystem import FileSystemReader
    from torch.distributed.checkpoint.state_dict_loader import load

    reader = FileSystemReader(directory)
    stored = {kind_and_key(name): name for name in _weights_first(reader.read_metadata().state_dict_metadata)}
    found: dict[str, Tensor] = {}
    for key in names.keys(shape):
        tensor = torch.empty(names.full_size(shape, key))
        load({stored[kind, key]: tensor}, storage_reader=FileSystemReader(directory), no_dist=True)
        layers = enumerate(tensor) if names.is_stacked(key) else [(None, tensor)]
        found |= {name: part.contiguous() for layer, of in layers for name, part in names.split(shape, key, layer, of)}
    return found


def _weights_first(stored: Mapping[str, Any]) -> list[str]:
    """Names of a checkpoint, those of the optimizer last: of two kinds of weights its own, in float32, counts."""
    return sorted(stored, key=lambda name: name.startswith(_OPTIMIZER))
