"""Which code runs which operator. An operator that is not in this table compiles but is refused at submit, by name.

Values are `module:function`, loaded when a worker needs them: a node that trains never loads DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from compiler.plan import Plan
from runtime.task import TaskContext

RUNTIMES: dict[str, str] = {
    "data.fetch_packages": "runtime.data.operators.fetch:fetch_packages",
    "data.sign": "runtime.data.operators.sign:sign",
    "data.drop_twins": "runtime.data.operators.verdicts:drop_twins",
    "data.merge_signatures": "runtime.data.operators.verdicts:merge_signatures",
    "data.edges": "runtime.data.operators.verdicts:edges",
    "data.cluster": "runtime.data.operators.verdicts:cluster",
    "data.refine": "runtime.data.operators.refine:refine",
    "data.downsample": "runtime.data.operators.selections:downsample",
    "data.select": "runtime.data.operators.selections:select",
    "data.decontaminate": "runtime.data.operators.decontaminate:decontaminate",
    **{
        f"data.{step}_web": f"runtime.data.operators.web:{step}_web"
        for step in ("sample", "segment", "train", "score", "expand", "settle", "recall")
    },
    "text.train_bpe": "runtime.data.operators.tokens:train_bpe",
    "text.import_tokenizer": "runtime.data.operators.tokens:import_tokenizer",
    "text.encode": "runtime.data.operators.tokens:encode",
    "text.pack": "runtime.data.operators.tokens:pack",
    "text.held_out": "runtime.data.operators.held_out:held_out_text",
    "mix.draw": "runtime.data.operators.mix:draw",
    "mix.draw_samples": "runtime.data.operators.mix:draw_samples",
    "instruct.make_pairs": "runtime.data.operators.instructions:make_pairs",
    "instruct.read_pairs": "runtime.data.operators.instructions:read_pairs",
    "instruct.decontaminate": "runtime.data.operators.decontaminate:decontaminate_pairs",
    "instruct.encode": "runtime.data.operators.instructions:encode_pairs",
    "smoke.tokenizer": "runtime.data.operators.smoke:tokenizer",
    "smoke.data": "runtime.data.operators.smoke:data",
    **dict.fromkeys(("train.torch", "train.megatron", "train.nemo"), "runtime.training.run:run"),
    "eval.bits_per_byte": "runtime.evaluation.operators:bits_per_byte",
    "eval.ngram": "runtime.evaluation.operators:ngram",
}

PACKAGES: dict[str, tuple[str, ...]] = {
    "train.torch": ("torch", "safetensors"),
    "train.megatron": ("torch", "safetensors", "megatron.core"),
    "train.nemo": ("torch", "safetensors", "megatron.core", "nemo"),
}
"""Packages that an operator loads only while it runs: loading its function does not show that they are there."""


def load(op_id: str) -> Callable[[Any, TaskContext], None]:
    """The function that runs an operator."""
    module, _, name = RUNTIMES[op_id].partition(":")
    function: Callable[[Any, TaskContext], None] = getattr(import_module(module), name)
    return function


def missing(plan: Plan) -> dict[str, list[str]]:
    """Operators of a plan that nothing here runs, with the tasks that need them."""
    found: dict[str, list[str]] = {}
    for task in plan.tasks:
        if task.op.op_id not in RUNTIMES:
            found.setdefault(task.op.op_id, []).append(task.id)
    return found
