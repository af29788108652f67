"""Draft: what the passes hand to one another between a spec and a plan. Not part of any output."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from compiler.errors import UserError
from compiler.findings import AS_EACH_RULE_SAYS, Finding, Severities
from compiler.memo import Memo
from compiler.metadata import SourceStats
from compiler.plan import DedupSummary, StageSummary, Task
from compiler.profile import Profile
from ocspec.base import Origin, Spec
from ocspec.experiment import Experiment
from ocspec.mixture import Dataset


@attrs.frozen(kw_only=True)
class DatasetTasks:
    """Where a data set stands in the graph: its clean documents, what is selected of them, and its tokens."""

    documents: str
    selection: str | None = None
    tokens: str | None = None


@attrs.frozen(kw_only=True)
class Pins:
    """What is known beforehand of sources, by name, and of the tokenizer's file; used of what cannot be seen."""

    sources: Mapping[str, SourceStats] = attrs.field(factory=dict)
    tokenizer: str = ""


NO_PINS = Pins()


@attrs.frozen(kw_only=True)
class Draft:
    """A plan in the making. `base` is the spec file's directory: paths in the spec are relative to it.

    `pins` are what a lock knows of sources that cannot be seen from here. `problems` with sources are kept for
    `check`, which lists them with its own, and leaves `warnings`. `severities` and `profile` are for rules alone:
    no pass may let them into a plan. `memo` holds what neighbours of this experiment need, too.
    """

    experiment: Experiment
    base: Path
    shards: int | None
    pins: Pins = NO_PINS
    memo: Memo = attrs.field(factory=Memo, eq=False, repr=False)
    sources: dict[str, SourceStats] = attrs.field(factory=dict)
    tokenizer_digest: str = ""
    problems: tuple[UserError, ...] = ()
    severities: Severities = AS_EACH_RULE_SAYS
    profile: Profile | None = None
    warnings: tuple[Finding, ...] = ()
    datasets: dict[str, DatasetTasks] = attrs.field(factory=dict)
    tasks: tuple[Task, ...] = ()
    stages: tuple[StageSummary, ...] = ()
    deduplication: tuple[DedupSummary, ...] = ()

    def add(self, *tasks: Task, **changes: Any) -> Draft:
        """The draft with more tasks; one that a neighbour has, too, is the neighbour's object."""
        return attrs.evolve(self, tasks=self.tasks + tuple(map(self.memo.first, tasks)), **changes)

    def where(self, spec: Spec) -> str:
        """file:line of a spec object, relative to the spec file's directory."""
        return relative(spec.origin, self.base)

    def dataset(self, name: str) -> Dataset:
        """The data set of that name."""
        return next(dataset for dataset in self.experiment.data if dataset.name == name)

    def error(self, spec: Spec, what: str, fix: str) -> UserError:
        """A problem with one object of the spec."""
        return UserError(what, where=self.where(spec), fix=fix)


def relative(origin: Origin | None, base: Path) -> str:
    """An origin as `file:line`, the same on every machine."""
    return "" if origin is None else f"{_relative(origin.file, base)}:{origin.line}"


@cache
def _relative(file: str, base: Path) -> str:
    return os.path.relpath(file, base)
