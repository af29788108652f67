"""OC001: every name that a spec refers to exists."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.passes.lower_tokens import mixtures
from compiler.passes.resolve import benchmarks_of, sources_of
from compiler.rules.base import Rule
from ocspec.base import Spec
from ocspec.sources import FunctionPairs, Source
from ocspec.testsets import TestSet
from ocspec.training import FineTune


def find(draft: Draft) -> Iterator[UserError]:
    """Unknown data sets, instruction sources and stages, bases in a circle, two sources or test sets of one name.

    Of one name now, or one that fingerprints know both by (`aka`).
    """
    experiment = draft.experiment
    data = {dataset.name for dataset in experiment.data}
    stages = {stage.name for stage in experiment.curriculum.stages}
    pairs = {source.name for source in experiment.instructions}
    for mixture in mixtures(draft).values():
        for part in mixture.parts:
            yield from _known(draft, part, "data set", part.dataset, data)
    for source in experiment.instructions:
        if isinstance(source, FunctionPairs):
            yield from _known(draft, source, "data set", source.dataset, data)
    for stage in experiment.curriculum.stages:
        if isinstance(stage, FineTune):
            for name in stage.instructions:
                yield from _known(draft, stage, "instruction source", name, pairs)
    for evaluation in experiment.evaluations:
        for name in evaluation.stages:
            yield from _known(draft, evaluation, "stage", name, stages)
    yield from _bases(draft, data)
    yield from _sources(draft)
    yield from _test_sets(draft)
    yield from _former_names(draft)


def _sources(draft: Draft) -> Iterator[UserError]:
    """What is known of a source is known by its name; data sets may share one, but not list it twice."""
    first: dict[str, Source] = {}
    lists = [*(dataset.sources for dataset in draft.experiment.data), draft.experiment.instructions]
    for sources in lists:
        for position, source in enumerate(sources):
            other = first.setdefault(source.name, source)
            if other != source or source in sources[:position]:
                yield draft.error(
                    source,
                    f"two sources are called {source.name!r}; the other is at {draft.where(other)}",
                    "give each its own name, and list it once",
                )


def _test_sets(draft: Draft) -> Iterator[UserError]:
    """Steps may share a test set; two of one name would be one in the report."""
    first: dict[str, TestSet] = {}
    for benchmark in benchmarks_of(draft.experiment):
        other = first.setdefault(benchmark.name, benchmark)
        if other != benchmark:
            yield draft.error(
                benchmark,
                f"two test sets are called {benchmark.name!r}; the other is at {draft.where(other)}",
                "give each name=... of its own",
            )


def _former_names(draft: Draft) -> Iterator[UserError]:
    """Two of which one has the name by which fingerprints know the other: one task would do for both."""
    benchmarks = benchmarks_of(draft.experiment)
    sources = [spec for spec in sources_of(draft.experiment) if spec not in benchmarks]
    for kind, specs in (("sources", sources), ("test sets", benchmarks)):
        first: dict[str, Source | TestSet] = {}
        for spec in specs:
            other = first.setdefault(spec.identity_name, spec)
            if other.name != spec.name:
                yield draft.error(
                    spec,
                    f"two {kind} were called {spec.identity_name!r}; the other is at {draft.where(other)}",
                    "give aka only to the one that goes on with the old data, and the other a new name",
                )


def _bases(draft: Draft, data: set[str]) -> Iterator[UserError]:
    for dataset in draft.experiment.data:
        if bool(dataset.sources) == (dataset.base is not None):
            yield draft.error(
                dataset,
                f"data set {dataset.name!r} has {'both sources and a base' if dataset.sources else 'no sources'}",
                "give sources=(...) or base=NAME, one of them",
            )
        if dataset.base is not None:
            yield from _known(draft, dataset, "data set", dataset.base, data)
            if dataset.base in data and _circular(draft, dataset.name):
                yield draft.error(dataset, f"data set {dataset.name!r} starts from itself", "break the circle of bases")


def _circular(draft: Draft, name: str) -> bool:
    bases = {dataset.name: dataset.base for dataset in draft.experiment.data}
    seen: set[str | None] = set()
    at: str | None = name
    while at is not None and at not in seen:
        seen.add(at)
        at = bases.get(at)
    return at is not None


def _known(draft: Draft, spec: Spec, kind: str, name: str, known: Collection[str]) -> Iterator[UserError]:
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(known)) or 'none'}"
    yield draft.error(spec, f"no {kind} is called {name!r}", hint)


RULE = Rule(
    "OC001",
    "names",
    "A name that nothing answers to would fail long after launch.",
    find,
    fixed=True,
    teach="""\
Mixtures, stages and evaluations know data sets, instruction sources and stages by name. A name that is mistyped
resolves to nothing, and where names are looked up late that is found out on the node. Config systems that build
objects lazily have this problem by design: Fiddle says "No parameter named ... exists", with the valid names, but
only when the object is built; NeMo-Run had to add a check of configs at the moment they are added (NeMo-Run #103).
Two sources of one name are the other half of it: what is known of a source, its digest included, is known by its
name. Here both are found before anything runs, with the nearest name that exists.
""",
)
