"""Lets Megatron-core and NeMo run on a machine without CUDA: their hard-coded CUDA calls go to the CPU.

Not a device and no fast path: it serves to run the very code that a cluster runs, small, with Gloo in place of NCCL.
What it shows is evidence about configuration, data order, schedules and checkpoints; never about CUDA kernels. It
changes torch for the whole process, so it belongs into a job's own process. Before Megatron is imported; does nothing
where CUDA is available.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist

CPU = torch.device("cpu")
_FACTORIES = "arange as_tensor empty empty_like full ones ones_like rand randn tensor zeros zeros_like"
_TYPES = "BFloat16Tensor DoubleTensor FloatTensor HalfTensor IntTensor LongTensor ByteTensor"


class _Event:
    """A point in a stream that has always been reached: the CPU has one queue."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def record(self, *args: Any) -> None:
        """Nothing to note."""

    def wait(self, *args: Any) -> None:
        """Nothing to wait for."""

    synchronize = wait

    def query(self) -> bool:
        """Reached."""
        return True

    def elapsed_time(self, other: _Event) -> float:
        """Milliseconds that nobody measured."""
        return 0.0


class _Stream(_Event):
    """The one queue."""

    wait_stream = wait_event = _Event.wait

    def record_event(self, *args: Any) -> _Event:
        """A point that is reached."""
        return _Event()

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *args: object) -> None: ...


def install() -> bool:
    """Redirect torch's CUDA calls; whether that was needed. A second call changes nothing."""
    if torch.cuda.is_available() or getattr(torch.cuda, "Event", None) is _Event:
        return False
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "1")  # Megatron asserts it where tensor parallel
    # Megatron compiles something when it is imported. For which device, a torch with CUDA would ask a device that is
    # not there, and fail with an error that Megatron does not catch.
    os.environ.setdefault("TORCH_CUDA_ARCH_LIST", "9.0")
    _redirect_module(torch.cuda)
    _redirect_tensors()
    _redirect_barrier()
    return True


def install_in_megatron() -> None:
    """What Megatron took from torch.cuda when it was imported; call it after the import."""
    from megatron.core.tensor_parallel import random

    random._get_cuda_rng_state = lambda *args, **kwargs: torch.get_rng_state()
    random._set_cuda_rng_state = lambda state, *args, **kwargs: torch.set_rng_state(state)
    fork = random.CudaRNGStatesTracker.fork

    def fork_if_known(self: Any, name: str = random._MODEL_PARALLEL_RNG_TRACKER_NAME) -> Any:
        """NeMo seeds the tracker on CUDA devices only."""
        return fork(self, name) if name in self.states_ else contextlib.nullcontext()

    random.CudaRNGStatesTracker.fork = fork_if_known


_NOTHING = "empty_cache manual_seed manual_seed_all reset_peak_memory_stats set_device synchronize"
_NO_BYTES = "max_memory_allocated max_memory_reserved memory_allocated memory_reserved"


def _always(value: Any) -> Callable[..., Any]:
    """A new function each time: torch.compile tells these apart by object."""
    return lambda *args, **kwargs: value


def _redirect_module(cuda: ModuleType) -> None:
    instead: dict[str, Any] = {
        "Event": _Event,
        "Stream": _Stream,
        "stream": lambda stream=None: contextlib.nullcontext(),
        "current_stream": lambda *args: _Stream(),
        "default_stream": lambda *args: _Stream(),
        "current_device": _always(CPU),  # Megatron passes it on as `device=`
        "get_device_capability": _always((0, 0)),
        "get_rng_state": lambda *args, **kwargs: torch.get_rng_state(),
        "set_rng_state": lambda state, *args, **kwargs: torch.set_rng_state(state),
        **{name: _always(None) for name in _NOTHING.split()},
        **{name: _always(0) for name in _NO_BYTES.split()},
        **{name: getattr(torch, name) for name in _TYPES.split()},  # Megatron asks isinstance of them
    }
    for name, value in instead.items():
        setattr(cuda, name, value)
    cuda.random.get_rng_state = lambda *args, **kwargs: torch.get_rng_state()
    cuda.random.set_rng_state = lambda state, *args, **kwargs: torch.set_rng_state(state)
    cuda.nvtx.range_push, cuda.nvtx.range_pop = _always(None), _always(None)


def _redirect_barrier() -> None:
    plain = dist.barrier

    def barrier(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("device_ids", None)
        return plain(*args, **kwargs)

    dist.barrier = barrier


def _redirect_tensors() -> None:
    def itself(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self

    torch.Tensor.cuda = torch.Tensor.pin_memory = torch.nn.Module.cuda = itself  # type: ignore[method-assign]
    plain_to, plain_type = torch.Tensor.to, torch.Tensor.type
    names = {torch.float32: "FloatTensor", torch.float16: "HalfTensor", torch.bfloat16: "BFloat16Tensor"}

    def to(self: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        kwargs = {name: _place(value) if name == "device" else value for name, value in kwargs.items()}
        return plain_to(self, *map(_place, args), **kwargs)

    def kind(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if not args and not kwargs and self.dtype in names:
            return f"torch.cuda.{names[self.dtype]}"  # Megatron's optimizers compare this text
        return plain_type(self, *args, **kwargs)

    torch.Tensor.to, torch.Tensor.type = to, kind  # type: ignore[method-assign, assignment]
    for name in _FACTORIES.split():
        setattr(torch, name, _on_cpu(getattr(torch, name)))


def _on_cpu(factory: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    @functools.wraps(factory)
    def made(*args: Any, **kwargs: Any) -> torch.Tensor:
        if "device" in kwargs:
            kwargs["device"] = _place(kwargs["device"])
        kwargs.pop("pin_memory", None)
        return factory(*args, **kwargs)

    return made


def _place(value: Any) -> Any:
    """The CPU where a CUDA device is named; any other argument as it is."""
    if isinstance(value, str) and value.startswith("cuda"):
        return CPU
    return CPU if isinstance(value, torch.device) and value.type == "cuda" else value
