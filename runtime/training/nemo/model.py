"""The job's model in NeMo's terms: a LlamaModel of NeMo's, with the loss that every back end computes.

Not another model: inside is the GPTModel of megatron-core that the Megatron back end builds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from nemo.collections import llm
from nemo.lightning.megatron_parallel import MegatronLossReduction
from torch import Tensor

from compiler.emit import megatron as emitted
from compiler.trainjob import TrainJob
from runtime.training.device import Device
from runtime.training.kernels import KernelChoice
from runtime.training.megatron.build import layers, transformer_arguments
from runtime.training.megatron.engine import masked_loss, on_this_rank

_OWN = ("tensor_model_parallel_size", "pipeline_model_parallel_size", "context_parallel_size", "sequence_parallel")


def llama_config(job: TrainJob, kernels: KernelChoice, device: Device) -> llm.LlamaConfig:
    """NeMo's configuration of the job's model; how it is split is the strategy's to say."""
    transformer, model = transformer_arguments(job, kernels), emitted.gpt_model(job)
    given = {
        **{name: value for name, value in transformer.items() if name not in _OWN},
        **{name: value for name, value in model.items() if name != "max_sequence_length"},
        "seq_length": model["max_sequence_length"],
        "make_vocab_size_divisible_by": 1,
        "transformer_layer_spec": _Layers(kernels),
        "data_step_fn": _DataStep(job, device),
        "forward_step_fn": forward,
    }
    known = {field.name for field in dataclasses.fields(llm.LlamaConfig)}
    assert set(given) <= known, sorted(set(given) - known)
    return llm.LlamaConfig(**given)


class _Layers:
    """A callable that NeMo asks for the modules of the layers; it can be copied, as NeMo does."""

    def __init__(self, kernels: KernelChoice) -> None:
        self._kernels = kernels

    def __call__(self, config: Any) -> Any:
        return layers(config, self._kernels)


class _DataStep:
    """A callable that takes the next micro batch for NeMo."""

    def __init__(self, job: TrainJob, device: Device) -> None:
        self._job, self._device = job, device

    def __call__(self, batches: Iterator[Any]) -> dict[str, Tensor]:
        batch = next(batches)
        return on_this_rank(batch[0] if isinstance(batch, tuple) else batch, self._job, self._device)


def forward(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """The loss of each token [B, S], on the last stage of a pipeline; what goes on to the next one elsewhere."""
    output: Tensor = model(batch["tokens"], batch["position_ids"], None, labels=batch["labels"])
    return output


class SummedLoss(MegatronLossReduction):
    """Sums of losses by data set; `taken` gets those of a step's micro batches, on the last stage of a pipeline."""

    def __init__(self, taken: Callable[[list[Tensor]], None]) -> None:
        super().__init__()
        self._taken = taken

    def forward(self, batch: dict[str, Tensor], losses_BS: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """As Megatron takes it."""
        return masked_loss(batch, losses_BS)

    def reduce(self, losses: list[dict[str, Tensor]]) -> Tensor:
        """The sum on this rank; what the step came to over all ranks is computed from what was taken."""
        sums = [each["sums"] for each in losses]
        self._taken(sums)
        return sum(sums, torch.zeros(())).sum().float()


class JobModel(llm.LlamaModel):
    """NeMo's Llama with `SummedLoss`."""

    def __init__(self, config: llm.LlamaConfig, loss: SummedLoss) -> None:
        super().__init__(config)
        self._training_loss_reduction = loss
