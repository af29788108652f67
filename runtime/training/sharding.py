"""How a model's tensors lie on the ranks of a job: whole on each, or of every tensor a part on each (FSDP2).

Not a split of the computation: each rank runs the whole model on its part of the batch, whatever it holds. Parts are
what `torch.distributed.fsdp.fully_shard` makes of them; on disk all tensors are whole, so that a run goes on at another
number of ranks, split in another way, or on another back end.
"""

from __future__ import annotations

from typing import Literal

import attrs
import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from compiler.errors import UserError
from compiler.trainjob import Parallelism
from runtime.training.model import LlamaForCausalLM
from runtime.training.ranks import Ranks

Kind = Literal["nothing", "optimizer", "everything"]


@attrs.frozen
class Sharding:
    """What is split: `nothing`, the `optimizer`'s state and its copy of the weights, or `everything`.

    With `optimizer` a rank has the whole weights and gradients from a step's first product to its last, and gradients
    are added up once a step. With `everything` it has those of the layer that it works on, and gradients are added up
    after each micro batch.
    """

    kind: Kind = "nothing"

    @classmethod
    def of(cls, split: Parallelism, ranks: Ranks) -> Sharding:
        """What a job asks for; one rank has nothing to split."""
        if ranks.here.size == 1 or not (split.fully_sharded or split.distributed_optimizer):
            return cls()
        return cls("everything" if split.fully_sharded else "optimizer")

    @property
    def splits(self) -> bool:
        """Whether ranks hold parts."""
        return self.kind != "nothing"

    def apply(self, model: LlamaForCausalLM, ranks: Ranks, device: torch.device) -> None:
        """Leave each rank, all of which call this, its part of every weight; layer by layer, then what is left."""
        if not self.splits:
            return
        _check_torch()
        mesh, again = init_device_mesh(device.type, (ranks.here.size,)), self.kind == "everything"
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh, reshard_after_forward=again)
        fully_shard(model, mesh=mesh, reshard_after_forward=again)
        register_fsdp_forward_method(model, "loss")
        for part in _parts(model):  # gradients are summed, for each rank divides by the tokens of the whole batch
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)

    def before_backward(self, model: torch.nn.Module, last: bool) -> None:
        """Say whether the backward pass to come is the step's last."""
        if self.kind == "optimizer" and isinstance(model, FSDPModule):
            model.set_requires_gradient_sync(last)
            model.set_reshard_after_backward(last)

    def put_back(self, model: torch.nn.Module) -> None:
        """Hold parts only, where a forward pass without a backward pass has left whole weights."""
        for part in _parts(model):
            part.reshard()


def _parts(model: torch.nn.Module) -> list[FSDPModule]:
    return [module for module in model.modules() if isinstance(module, FSDPModule)]


def _check_torch() -> None:
    if not hasattr(FSDPModule, "set_force_sum_reduction_for_comms"):
        raise UserError(
            f"torch {torch.__version__} cannot add up the gradients of split weights",
            where="parallelism",
            fix="install a later torch, or set distributed_optimizer and fully_sharded to False",
        )


def whole(tensor: Tensor) -> Tensor:
    """The whole tensor, for which all ranks call this; on the CPU where they hold parts."""
    return tensor.full_tensor().cpu() if isinstance(tensor, DTensor) else tensor


def laid_out_as(like: Tensor, tensor: Tensor) -> Tensor:
    """What this rank holds of a whole tensor that every rank has, split as `like` is."""
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def clip_gradients(parameters: list[torch.nn.Parameter], limit: float) -> float:
    """Scale the gradients to a norm of at most `limit` over all of them, 0: no limit; the norm before that."""
    found = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    norm = found.full_tensor() if isinstance(found, DTensor) else found
    if limit > 0:
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return float(norm)
