"""What a stage takes from the one before, and what it says of itself to the next: portable between back ends.

Not the state of an unfinished run, which each back end keeps in its own way. A finished stage has `checkpoint/`
(weights, Hugging Face names) and `state/` (AdamW's moments by the same names); `state/step-*/` has both, after an
earlier step. Tensors are read when they are asked for, so that a rank needs no memory for what others hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from compiler.errors import UserError
from compiler.trainjob import ModelShape, TrainJob
from runtime.training.checkpoint import WEIGHTS
from runtime.training.initial import initial_weight
from runtime.training.schedule import learning_rate
from runtime.training.sealed import PAYLOAD, check_seal, read_facts, step_directory

MOMENTS = ("exp_avg", "exp_avg_sq")


@attrs.frozen(eq=False)
class Start:
    """Where a stage starts. `tensor(kind, name)` gives a whole tensor, float32: "weight", "exp_avg" or "exp_avg_sq".

    `optimizer_steps` are the updates behind the moments; with 0 there are none.
    """

    tensor: Callable[[str, str], Tensor]
    optimizer_steps: int = 0


def start_of(job: TrainJob, init: Path | None, sizes: Mapping[str, tuple[int, ...]], *, check: bool = True) -> Start:
    """What the job starts from: fresh weights, or what it takes of the stage in `init`.

    `sizes` are those of the model's weights by name. UserError where a file is missing, damaged or of another model, or
    a stage that goes on from a state does not begin at the learning rate where that ended. One of several ranks has to
    `check` the state's files, which reads them all.
    """
    if init is None:
        return Start(lambda _, name: initial_weight(job.model, name, sizes[name], job.seed))
    step = job.start_step
    state = init / "state" if step is None else step_directory(init / "state", step)
    facts: dict[str, Any] = {}
    if step is not None or job.start_from == "state":
        facts = check_seal(state) if check else read_facts(state)
    if step is None:
        weights = _reader(init / "checkpoint" / WEIGHTS, "", sizes)
    else:
        weights = _reader(state / PAYLOAD, "model.", sizes)
    if job.start_from == "weights":
        return Start(lambda _, name: weights(name))
    check_continuity(job, facts["learning_rate"], state)
    kinds = {kind: _reader(state / PAYLOAD, f"{kind}.", sizes) for kind in MOMENTS}
    return Start(lambda kind, name: {"weight": weights, **kinds}[kind](name), facts["optimizer_steps"])


def _reader(path: Path, prefix: str, sizes: Mapping[str, tuple[int, ...]]) -> Callable[[str], Tensor]:
    try:
        file: Any = safe_open(path, "pt")
        known = set(file.keys())
    except (OSError, SafetensorError) as error:
        raise UserError(f"unreadable checkpoint: {error}", where=str(path)) from error

    def read(name: str) -> Tensor:
        found = tuple(file.get_slice(prefix + name).get_shape()) if prefix + name in known else "nothing"
        if found != tuple(sizes[name]):
            raise UserError(
                f"{name}: the checkpoint has {found}, the model wants {tuple(sizes[name])}",
                where=str(path),
                fix="start from a checkpoint of the same model shape",
            )
        tensor: Tensor = file.get_tensor(prefix + name)
        return tensor.to(torch.float32)

    return read


def weight_sizes(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    """The sizes of a model's weights by Hugging Face name."""
    hidden, heads, keys = shape.hidden_size, shape.num_heads * shape.head_dim, shape.num_kv_heads * shape.head_dim
    layer: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj.weight": (heads, hidden),
        "self_attn.k_proj.weight": (keys, hidden),
        "self_attn.v_proj.weight": (keys, hidden),
        "self_attn.o_proj.weight": (hidden, heads),
        "mlp.gate_proj.weight": (shape.intermediate_size, hidden),
        "mlp.up_proj.weight": (shape.intermediate_size, hidden),
        "mlp.down_proj.weight": (hidden, shape.intermediate_size),
        "input_layernorm.weight": (hidden,),
        "post_attention_layernorm.weight": (hidden,),
    }
    sizes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (shape.vocab_size, hidden)}
    for number in range(shape.num_layers):
        sizes |= {f"model.layers.{number}.{name}": size for name, size in layer.items()}
    sizes["model.norm.weight"] = (hidden,)
    if not shape.tied_embeddings:
        sizes["lm_head.weight"] = (shape.vocab_size, hidden)
    return sizes


def facts(job: TrainJob, step: int, optimizer_steps: int) -> dict[str, Any]:
    """What goes with the tensors of a state; `optimizer_steps` counts over all stages that shared the moments."""
    rate = learning_rate(job.schedule, step - 1)
    return {"step": step, "optimizer_steps": optimizer_steps, "learning_rate": rate}


def check_continuity(job: TrainJob, last_rate: float, where: Path) -> None:
    """Raise UserError where a stage that continues another does not start at its last learning rate."""
    start = job.schedule[0].start
    if not math.isclose(start, last_rate, rel_tol=1e-9):
        raise UserError(
            f"stage {job.stage} starts its schedule at {start!r}, the stage before ended at {last_rate!r}",
            where=str(where),
            fix="start where the stage before ended, or take its weights only",
        )
