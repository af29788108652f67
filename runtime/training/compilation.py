"""Whether the torch back end compiles the decoder's layers with torch.compile, and why.

Not a compiler, and nothing that changes what is computed but for rounding. Kernels of Apex and Transformer Engine are
`kernels`' affair; plain torch has none of them, and its AdamW is fused wherever the job does not ask for portable ones.

Shapes are compiled as they come, without a dynamic one: which code runs depends on the shape alone and not on those
before it, so that a resumed run computes the bits of an unbroken one. A job with many shapes is therefore not compiled.
"""

from __future__ import annotations

import time
from typing import Any

import attrs
import torch

from compiler.errors import UserError
from compiler.trainjob import TrainJob
from runtime.training.model import DecoderLayer, LlamaForCausalLM
from runtime.training.ranks import Ranks

MOST_SHAPES = 8  # torch compiles a function for so many before it gives up
# Measured on 2 cores of an EPYC (Zen 4) with the miniature's shape: 26 s to compile, 0.05 s of 0.8 s saved a step.
NOT_ON_CPU = "auto: on a CPU compiling takes longer than some hundred steps win back"


@attrs.frozen
class Compilation:
    """Whether layers are compiled, whether AdamW is torch's fused one, and why so."""

    layers: bool
    fused_optimizer: bool
    reason: str

    def describe(self) -> dict[str, Any]:
        """For log/environment.json."""
        return {
            "kernels": "compiled layers" if self.layers else "eager",
            "optimizer": "fused AdamW" if self.fused_optimizer else "plain AdamW",
            "kernels_reason": self.reason,
        }

    def apply(self, model: LlamaForCausalLM) -> None:
        """Compile each layer when it is first run; the code is shared by all of them."""
        if self.layers:
            for layer in model.model.layers:
                assert isinstance(layer, DecoderLayer)
                layer.compiled = torch.compile(layer.sum_of_both, dynamic=False, fullgraph=True)


def choose_compilation(job: TrainJob, device: torch.device, ranks: Ranks) -> Compilation:
    """What the job's `kernels` come to here, the same on every rank; UserError where it asks for what is not there."""
    if job.kernels == "portable":
        return Compilation(False, False, "portable: as the job says")
    if job.kernels == "auto" and device.type == "cpu":
        return Compilation(False, True, NOT_ON_CPU)
    failure = _too_many_shapes(job, ranks) or why_no_compiler(device)
    elsewhere = ranks.any(bool(failure)) and not failure
    if not (failure or elsewhere):
        return Compilation(True, True, f"{job.kernels}: torch.compile works here")
    found = failure or "torch.compile does not work on another rank"
    if job.kernels == "fused":
        raise UserError(
            f"stage {job.stage} wants fused kernels: {found}",
            where="kernels",
            fix="install a C++ compiler (and Triton for a GPU), have no space in Python's path, or set kernels to auto",
        )
    return Compilation(False, True, f"auto: {found}")


def _too_many_shapes(job: TrainJob, ranks: Ranks) -> str:
    """Why a job is not compiled: fine-tuning cuts each micro batch to its longest sample."""
    if job.kind == "finetune":
        return "the batches of fine-tuning have too many shapes to compile"
    shapes = set()
    for phase in job.batches:
        sequences = phase.global_batch // ranks.here.size
        full = min(job.micro_batch, sequences)
        shapes |= {(full, phase.sequence_length), (sequences % full or full, phase.sequence_length)}
    return f"{len(shapes)} shapes of batches are too many to compile" if len(shapes) > MOST_SHAPES else ""


def why_no_compiler(device: torch.device) -> str:
    """What keeps torch.compile from working on this machine, "" where nothing does; found by compiling a line."""
    constant = float(time.time_ns())  # so that no code compiled earlier is taken for it
    try:
        compiled = torch.compile(lambda x: torch.relu(x) + constant, dynamic=False)
        compiled(torch.ones(8, device=device)).sum().item()
    except Exception as error:  # a compiler may fail in any way, and training goes on without it
        return f"torch.compile does not work here ({str(error).strip().splitlines()[0]})"
    finally:
        torch._dynamo.reset()
    return ""
