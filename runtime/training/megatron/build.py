"""A job's model, its gradient buffers and its optimizer, built from Megatron's own classes.

Not the configuration: every value follows from the job (`compiler.emit.megatron`) or from the kernels that were found.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import torch

from compiler.emit import megatron as emitted
from compiler.errors import UserError
from compiler.trainjob import TrainJob
from runtime.training.device import Device
from runtime.training.handover import MOMENTS
from runtime.training.kernels import KernelChoice
from runtime.training.megatron.norm import RMSNorm

# What a kernel fuses is decided here, by what was found; Megatron's defaults would take some without asking.
_UNFUSED = dict.fromkeys(
    (
        "apply_rope_fusion",
        "bias_activation_fusion",
        "bias_dropout_fusion",
        "cross_entropy_loss_fusion",
        "gradient_accumulation_fusion",
        "masked_softmax_fusion",
        "persist_layer_norm",
    ),
    False,
)


TORCHS = (torch.optim.Adam, torch.optim.AdamW)


@attrs.frozen(eq=False)
class Built:
    """One rank's part: `chunk` is the model in its gradient buffer, as Megatron's schedules take it."""

    config: Any
    chunk: Any
    optimizer: Any
    distributed: bool

    @property
    def counts_by_weight(self) -> bool:
        """Whether the number of updates stands beside each weight, as with torch's AdamW; else in the groups."""
        return all(isinstance(part.optimizer, TORCHS) for part in self.optimizer.chained_optimizers)

    @property
    def model(self) -> Any:
        """The model itself, whose sharded state has Megatron's keys: inside of buffers and of what casts to bf16."""
        model = self.chunk
        while "module" in model._modules:
            model = model._modules["module"]
        return model


@contextmanager
def groups(job: TrainJob) -> Iterator[None]:
    """Megatron's process groups for a job, in the default group, for the length of the block."""
    from megatron.core import parallel_state, tensor_parallel

    split = job.parallelism
    parallel_state.initialize_model_parallel(
        tensor_model_parallel_size=split.tensor,
        pipeline_model_parallel_size=split.pipeline,
        context_parallel_size=split.context,
    )
    tensor_parallel.model_parallel_cuda_manual_seed(job.seed)
    try:
        yield
    finally:
        parallel_state.destroy_model_parallel()


def transformer_config(job: TrainJob, kernels: KernelChoice) -> Any:
    """Megatron's TransformerConfig. UserError where Megatron refuses what the job says."""
    from megatron.core.transformer.transformer_config import TransformerConfig

    return configured(TransformerConfig, transformer_arguments(job, kernels))


def transformer_arguments(job: TrainJob, kernels: KernelChoice) -> dict[str, Any]:
    """What the job and the kernels say to TransformerConfig, and to NeMo's classes, which extend it."""
    arguments = emitted.transformer_config(job)
    dtype = torch.bfloat16 if job.precision == "bf16" else torch.float32
    return {
        **arguments,
        **_UNFUSED,
        "gradient_accumulation_fusion": kernels.gradient_accumulation_fusion,
        "bias_activation_fusion": kernels.transformer_engine,  # SwiGLU in one kernel, which torch compiles
        "masked_softmax_fusion": kernels.masked_softmax_fusion,
        "activation_func": getattr(torch.nn.functional, arguments["activation_func"]),
        "params_dtype": dtype,
        "pipeline_dtype": dtype,
        "use_cpu_initialization": True,  # whatever it draws is replaced by our own first weights
        "deterministic_mode": False,
    }


def configured(kind: Any, arguments: dict[str, Any]) -> Any:
    """An object of a dataclass of Megatron's or NeMo's; UserError for what it does not take, with its own words."""
    known = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(set(arguments) - known)
    assert not unknown, f"{kind.__name__} has no {', '.join(unknown)}: another version of Megatron?"
    try:
        return kind(**arguments)
    except (ValueError, AssertionError, NotImplementedError) as error:
        raise UserError(f"Megatron does not take this job: {error}", fix="change the stage's parallelism") from error


def layers(config: Any, kernels: KernelChoice) -> Any:
    """The modules of this rank's decoder layers: Transformer Engine's where it is there, else Megatron's own."""
    from megatron.core.models.gpt import gpt_layer_specs
    from megatron.core.transformer.transformer_block import TransformerBlockSubmodules, get_num_layers_to_build

    if kernels.transformer_engine:
        return gpt_layer_specs.get_gpt_layer_with_transformer_engine_spec()
    layer = gpt_layer_specs.get_gpt_layer_local_spec(normalization="RMSNorm")
    layer.submodules.input_layernorm = layer.submodules.pre_mlp_layernorm = RMSNorm
    return TransformerBlockSubmodules([layer] * get_num_layers_to_build(config), RMSNorm)


def build(job: TrainJob, kernels: KernelChoice, device: Device) -> Built:
    """Build this rank's part of a job whose precision is settled, inside `groups`."""
    from megatron.core import parallel_state
    from megatron.core.models.gpt.gpt_model import GPTModel

    config = transformer_config(job, kernels)
    model = GPTModel(
        config=config,
        transformer_layer_spec=layers(config, kernels),
        pre_process=parallel_state.is_pipeline_first_stage(),
        post_process=parallel_state.is_pipeline_last_stage(),
        **emitted.gpt_model(job),
    ).to(device.torch)
    return wrapped(job, config, model)


def wrapped(job: TrainJob, config: Any, model: Any) -> Built:
    """The model with its gradient buffers and optimizer."""
    from megatron.core.distributed import DistributedDataParallel, DistributedDataParallelConfig, finalize_model_grads
    from megatron.core.optimizer import OptimizerConfig, get_megatron_optimizer
    from megatron.core.transformer.module import Float16Module

    if job.precision == "bf16":
        model = Float16Module(config, model)
    chunk = DistributedDataParallel(config, DistributedDataParallelConfig(**emitted.ddp_config(job)), model)
    dtype = {"params_dtype": config.params_dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch's AdamW is used is said by the choice of kernels
        optimizer = get_megatron_optimizer(OptimizerConfig(**emitted.optimizer_config(job), **dtype), [chunk])
    begin_optimizer(optimizer)
    config.finalize_model_grads_func = finalize_model_grads
    config.grad_scale_func = optimizer.scale_loss
    return Built(config, chunk, optimizer, job.parallelism.distributed_optimizer)


def begin_optimizer(optimizer: Any) -> None:
    """Make Megatron's optimizer ready to be loaded where torch's AdamW is inside, before its first step."""
    for part in optimizer.chained_optimizers:
        if isinstance(part.optimizer, TORCHS):
            _begin(part.optimizer)
            _keep_step(part)


def _begin(optimizer: torch.optim.Optimizer) -> None:
    """Give torch's AdamW the state that it would make at its first step: Megatron reads the number of steps before."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            moments = {moment: torch.zeros_like(parameter) for moment in MOMENTS}
            optimizer.state[parameter] = {"step": torch.tensor(0.0), **moments}


def _keep_step(optimizer: Any) -> None:
    """Let a distributed optimizer load beside torch's AdamW, whose step it looks for and has left out before.

    Megatron's fused optimizers count steps once for all weights, torch's beside each; the count is loaded already when
    the moments come.
    """
    plain = getattr(optimizer, "_set_main_param_and_optimizer_states", None)
    if plain is None:
        return

    def set_states(weight: Any, tensors: dict[str, torch.Tensor]) -> None:
        group, number = optimizer.model_param_group_index_map[weight]
        state = optimizer.optimizer.state[optimizer.optimizer.param_groups[group]["params"][number]]
        plain(weight, {"step": state["step"], **tensors})

    optimizer._set_main_param_and_optimizer_states = set_states
