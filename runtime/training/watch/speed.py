"""How fast a step was: tokens a second, and the part of the devices' peak that the model's own operations make.

Not a profiler: a step's seconds run from the end of the step before to its own, saving included and validation not.
Peaks are those of `compiler.cost.boards`, by the name that CUDA gives the device; one that is not there has no
utilization.
"""

from __future__ import annotations

import resource
from typing import Any, Literal

import torch

from compiler.cost.boards import peak_of
from compiler.cost.flops import flops_per_token
from compiler.trainjob import TrainJob

MiB = 1 << 20


def timing(
    job: TrainJob, step: int, seconds: float, device: torch.device, precision: Literal["fp32", "bf16"], devices: int
) -> dict[str, Any]:
    """The line of timings of step `step` (0-based): what it took on so many devices of this kind.

    `memory_mb` is the most that this process has held so far: allocated on its CUDA device, or resident on a CPU.
    `mfu` is model FLOPs utilization (Chowdhery et al. 2022): operations of the model, none for recomputation, over
    what the devices could do; left out where their peak is not known, and in fine-tuning, where padding is no work.
    """
    phase = job.batch_phase(step)
    rate = phase.global_batch * phase.sequence_length / max(seconds, 1e-9)
    line = {
        "seconds": round(seconds, 6),
        "tokens_per_second": round(rate, 1),
        "tokens_per_second_per_device": round(rate / devices, 1),
        "memory_mb": memory_mb(device),
    }
    peak = peak_flops(device, precision)
    if peak is not None and job.kind != "finetune":
        line["mfu"] = round(utilization(job, step, rate, devices * peak), 4)
    return line


def utilization(job: TrainJob, step: int, tokens_per_second: float, peak: float) -> float:
    """The model's operations a second over `peak`."""
    return flops_per_token(job.model, job.batch_phase(step).sequence_length) * tokens_per_second / peak


def peak_flops(device: torch.device, precision: Literal["fp32", "bf16"]) -> float | None:
    """Operations a second that one device can do at a precision, None where that is not known."""
    if device.type != "cuda":
        return None
    peak = peak_of(torch.cuda.get_device_name(device))
    if peak is None:
        return None
    if precision == "bf16":
        return peak.bf16
    return peak.tf32 if torch.get_float32_matmul_precision() != "highest" else peak.fp32


def memory_mb(device: torch.device) -> int:
    """The most memory so far, in MiB."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device) // MiB)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
