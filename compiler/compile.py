"""compile_experiment: run the passes over an experiment. The library's front door; the files on disk are `write`'s."""

from __future__ import annotations

from pathlib import Path

from compiler.draft import Draft
from compiler.passes import PASSES
from compiler.passes.lower_training import model_shape
from compiler.plan import Plan
from ocspec.base import describe
from ocspec.experiment import Experiment


def compile_experiment(experiment: Experiment, base: Path, shards: int | None = None) -> Plan:
    """The plan of an experiment whose relative paths start at `base`.

    `shards` overrides how many shards data tasks run in. Raises UserErrors with every problem found.
    """
    draft = Draft(experiment=experiment, base=base.resolve(), shards=shards or experiment.shards)
    for compiler_pass in PASSES:
        draft = compiler_pass(draft)
    shape = model_shape(experiment.model, experiment.tokenizer.vocab_size)
    return Plan(
        experiment=experiment.name,
        spec=describe(experiment),
        tasks=draft.tasks,
        parameters=shape.parameters,
        parameters_without_embeddings=shape.parameters - shape.embedding_parameters,
        stages=draft.stages,
        deduplication=draft.deduplication,
    )
