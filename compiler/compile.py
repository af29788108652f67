"""compile_experiment: run the passes over an experiment. The library's front door; the files on disk are `write`'s."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from compiler.cost.size import source_summaries
from compiler.draft import NO_PINS, Draft, Pins
from compiler.findings import AS_EACH_RULE_SAYS, Severities
from compiler.interning import Interned
from compiler.memo import Memo
from compiler.passes import PASSES
from compiler.passes.lower_training import model_shape
from compiler.plan import Plan
from compiler.profile import Profile
from ocspec.base import Spec, describe
from ocspec.experiment import Experiment


def compile_experiment(experiment: Experiment, base: Path, shards: int | None = None) -> Plan:
    """The plan of an experiment whose relative paths start at `base`.

    `shards` overrides how many shards data tasks run in. Raises UserErrors with every problem found.
    """
    return plan_from(draft_of(experiment, base, shards))


def compile_all(experiments: Iterable[Experiment], base: Path, shards: int | None = None) -> Iterator[Plan]:
    """The plans of neighbours, such as the arms of an ablation, one after the other.

    What they share, they share as objects: sources are looked at once, a task that several have is worked out once.
    A plan is what `compile_experiment` makes of its experiment alone. Raises as that does, at the first refused one.
    """
    memo, interned = Memo(), Interned()
    for experiment in experiments:
        yield plan_from(draft_of(interned.spec(experiment), base, shards, memo=memo))


def draft_of(
    experiment: Experiment,
    base: Path,
    shards: int | None = None,
    pins: Pins = NO_PINS,
    *,
    severities: Severities = AS_EACH_RULE_SAYS,
    profile: Profile | None = None,
    memo: Memo | None = None,
) -> Draft:
    """The draft as it leaves the last pass: the plan's tasks, what was seen of the sources, and warnings.

    `severities` and `profile` change what rules find, and nothing of the plan. With the `memo` of a neighbour, an
    experiment on the same base, only what differs is worked out. Raises CheckError.
    """
    draft = Draft(
        experiment=experiment,
        base=base.resolve(),
        shards=shards or experiment.shards,
        pins=pins,
        severities=severities,
        profile=profile,
        memo=memo or Memo(),
    )
    for compiler_pass in PASSES:
        draft = compiler_pass(draft)
    return draft


def plan_from(draft: Draft) -> Plan:
    """What of a finished draft goes into the plan."""
    experiment = draft.experiment
    shape = model_shape(experiment.model, experiment.tokenizer.vocab_size)
    return Plan(
        experiment=experiment.name,
        spec=_described(experiment, draft.memo),
        tasks=draft.tasks,
        parameters=shape.parameters,
        parameters_without_embeddings=shape.parameters - shape.embedding_parameters,
        stages=draft.stages,
        deduplication=draft.deduplication,
        sources=source_summaries(draft),
    )


def _described(spec: Spec, memo: Memo) -> dict[str, Any]:
    """`describe`, with the parts that neighbours share described once."""
    return memo.get("described", (spec,), lambda: describe(spec, partial(_described, memo=memo)))
