"""What the machine can do, and torch's global switches set for one run and put back after it.

Not a launcher: one process, one device.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import attrs
import torch
from torch.amp.autocast_mode import autocast

from compiler.trainjob import Precision
from runtime.launch import Place

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_KEEP_BYTES = (1 << 31) - 1


@attrs.frozen
class Device:
    """The device of a run, the precision of its matrix products, and why that one."""

    torch: torch.device
    precision: Literal["fp32", "bf16"]
    reason: str

    def autocast(self) -> autocast:
        """Matrix products in bf16 where that is the precision; weights, norms and the loss stay in fp32."""
        return autocast(self.torch.type, torch.bfloat16, enabled=self.precision == "bf16")

    def describe(self) -> dict[str, Any]:
        """For log/environment.json."""
        cuda = self.torch.type == "cuda"
        return {
            "device": self.torch.type,
            "device_name": torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine(),
            "precision": self.precision,
            "precision_reason": self.reason,
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "python": platform.python_version(),
        }


def choose_device(precision: Precision, here: Place | None = None) -> Device:
    """CUDA if it is there; "auto" is bf16 on CUDA devices that have it: CPUs are slower in it.

    Each of several ranks on a node takes the device of its local rank; where Slurm shows it one only, that one.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda" and here is not None and here.size > 1:
        device = torch.device("cuda", here.local_rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
    if precision != "auto":
        return Device(device, precision, "as the job says")
    if device.type == "cpu":
        return Device(device, "fp32", "auto: no CUDA device")
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return Device(device, "bf16", "auto: a CUDA device with bf16")
    return Device(device, "fp32", "auto: a CUDA device without bf16")


@contextmanager
def reproducible(threads: int) -> Iterator[None]:
    """`threads` CPU threads and deterministic kernels, for the length of the block.

    Where torch has no deterministic kernel it warns and goes on. Sums on the CPU are split by thread, so that
    equal bits need an equal number of threads. Memory that nothing was written to yet is left as it is: torch would
    fill it against reads that do not happen here.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    threads_before, strict_before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warned_before = torch.is_deterministic_algorithms_warn_only_enabled()
    deterministic: Any = torch.utils.deterministic
    filled_before = deterministic.fill_uninitialized_memory
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.use_deterministic_algorithms(strict_before, warn_only=warned_before)
        deterministic.fill_uninitialized_memory = filled_before


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory for the next step; False where there is no glibc.

    Activations are large, and by default each goes back to the kernel when freed and comes back as page faults:
    77,000 a step for a model of 1.2 M parameters and a batch of 8192 tokens, none with this. Peak memory rises by
    up to 5 per cent. What it saves in time depends on the price of a fault, which varies much between machines.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES) and libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES))
