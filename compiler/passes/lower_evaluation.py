"""lower_evaluation: measurements after stages."""

from __future__ import annotations

import json
from typing import Any

from compiler import ir
from compiler.draft import Draft
from compiler.passes.lower_tokens import TOKENIZER, held_out_documents
from compiler.plan import Input, Task
from ocspec.evaluation import Benchmark, BitsPerByte, Evaluation
from ocspec.training import Pretrain, Stage


def lower_evaluation(draft: Draft) -> Draft:
    """Add one task per evaluation and stage, and the yardstick beside bits per byte."""
    for evaluation in draft.experiment.evaluations:
        for number, stage in enumerate(draft.experiment.curriculum.stages):
            if not evaluation.stages or stage.name in evaluation.stages:
                draft = draft.add(*_tasks(draft, evaluation, stage, number))
    return draft


def _tasks(draft: Draft, evaluation: Evaluation, stage: Stage, number: int) -> list[Task]:
    common: dict[str, Any] = {"spec_paths": (f"evaluations.{evaluation.name}",), "origin": draft.where(evaluation)}
    checkpoint = Input(role="checkpoint", task=f"{stage.name}/train")
    tokenizer = Input(role="tokenizer", task=TOKENIZER)
    if isinstance(evaluation, Benchmark):
        settings, defaults = _settings(evaluation)
        op = ir.Benchmark(stage=stage.name, benchmark=evaluation.kind(), settings=settings, defaults=defaults)
        task_id = f"{stage.name}/{evaluation.name}"
        return [Task(id=task_id, op=op, inputs=(checkpoint, tokenizer), **common)]
    assert isinstance(evaluation, BitsPerByte)
    held_out = held_out_documents(draft)
    sample: dict[str, Any] = {
        "stage": stage.name,
        "languages": tuple(sorted(set(evaluation.languages))),
        "max_bytes": evaluation.max_bytes,
        "seed": evaluation.seed,
    }
    tasks = [
        Task(
            id=f"{stage.name}/{evaluation.name}",
            op=ir.BitsPerByte(**sample),
            inputs=(checkpoint, tokenizer, *held_out),
            **common,
        )
    ]
    if evaluation.ngram_order is not None:
        stages = draft.experiment.curriculum.stages[: number + 1]
        start = max((k for k, s in enumerate(stages) if isinstance(s, Pretrain)), default=0)  # from random weights
        seen = tuple(item for k, s in enumerate(stages[start:]) for item in _seen(draft, s, k))
        tasks.append(
            Task(
                id=f"{stage.name}/{evaluation.name}-ngram",
                op=ir.NGram(order=evaluation.ngram_order, **sample),
                inputs=(*seen, tokenizer, *held_out),
                **common,
            )
        )
    return tasks


Settings = tuple[tuple[str, str], ...]


def _settings(benchmark: Benchmark) -> tuple[Settings, Settings]:
    """Names and values in JSON of the fields that differ from their declared default, and of the others.

    Only the former are the benchmark's identity: a field that is new in this version changes none.
    """
    settings = {name: info.default for name, info in type(benchmark).model_fields.items() if name not in NOT_SETTINGS}
    given = {name: _as_text(getattr(benchmark, name)) for name in sorted(settings)}
    default = {name: _as_text(value) for name, value in settings.items()}
    same = {name for name, text in given.items() if text == default[name]}
    return tuple(i for i in given.items() if i[0] not in same), tuple(i for i in given.items() if i[0] in same)


NOT_SETTINGS = {"name", "stages"}


def _as_text(value: Any) -> str:
    """A setting in JSON; the order of several, which are languages, means nothing."""
    return json.dumps(sorted(set(value)) if isinstance(value, tuple) else value)


def _seen(draft: Draft, stage: Stage, number: int) -> list[Input]:
    """What a stage trained on: its token files and the order in which it drew from them.

    Roles tell stages apart by number: a stage's name is for people and must not enter a fingerprint.
    """
    train = next(task for task in draft.tasks if task.id == f"{stage.name}/train")
    return [
        Input(role=f"{item.role}:{number}", task=item.task) for item in train.inputs if item.role in {"tokens", "blend"}
    ]
