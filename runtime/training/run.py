"""The training operator's place in a plan: artefacts in, `train` called, artefacts out.

Not a back end: it finds the directories and the tokens that begin and end a text, and loads the back end that the job
names; all of them have a function `train` that takes a `Request`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from compiler.trainjob import Backend
from runtime.training.ranks import Ranks
from runtime.training.request import Request

BACKENDS: dict[Backend, str] = {
    "torch": "runtime.training.torch_backend",
    "megatron": "runtime.training.megatron.backend",
    "nemo": "runtime.training.nemo.backend",
}
END_OF_TEXT = "<|endoftext|>"
END_OF_TURN = "<|im_end|>"


def run(op: Any, ctx: Any) -> None:
    """Train stage `op.job` from the inputs `tokens` (several), `blend` and, if given, `init`, `tokenizer`, `held_out`.

    `op` is a compiler.ir.TrainOp and `ctx` a runtime.task.TaskContext.
    """
    tokenizer, held_out = _directory(ctx, "tokenizer"), _directory(ctx, "held_out")
    tokenizer_file = tokenizer / "tokenizer" / "tokenizer.json" if tokenizer else None
    request = Request(
        job=op.job,
        tokens=[artifact.path / "tokens" for artifact in ctx.inputs["tokens"]],
        blend=ctx.input("blend").path / "blend",
        init=_directory(ctx, "init"),
        out=ctx.out,
        resume=ctx.resume,
        threads=ctx.threads,
        tokenizer=tokenizer_file,
        bos_eos=bos_eos(tokenizer_file, op.job.kind) if tokenizer_file else None,
        progress=ctx.progress,
        stats=ctx.stats,
        ranks=ctx.ranks or Ranks.one(),
        held_out=held_out / "held_out" if held_out else None,
    )
    train_function(op.job.backend)(request)


def train_function(backend: Backend) -> Callable[[Request], None]:
    """The back end's `train`; loading it loads what it is made of."""
    function: Callable[[Request], None] = import_module(BACKENDS[backend]).train
    return function


def bos_eos(tokenizer_file: Path, kind: str) -> tuple[int, int] | None:
    """The ids of the tokens that begin and end a text, or None where the tokenizer does not name them.

    Documents are parted by END_OF_TEXT. A fine-tuned model ends its turn with END_OF_TURN, if the tokenizer
    has it.
    """
    added = json.loads(tokenizer_file.read_text()).get("added_tokens", [])
    ids = {token["content"]: int(token["id"]) for token in added}
    if END_OF_TEXT not in ids:
        return None
    end = ids.get(END_OF_TURN, ids[END_OF_TEXT]) if kind == "finetune" else ids[END_OF_TEXT]
    return ids[END_OF_TEXT], end


def _directory(ctx: Any, role: str) -> Path | None:
    """The one artefact of a role that may be absent."""
    return ctx.input(role).path if ctx.inputs.get(role) else None
