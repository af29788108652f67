"""What several rules ask of a draft: its training jobs, how many tokens a data set can give, how long a step takes.

No rule, and no pass: everything here is told from the spec and from metadata of sources, and holds for specs that
another rule refuses, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from compiler.cost.devices import speed
from compiler.cost.flops import flops_per_token
from compiler.draft import Draft
from compiler.errors import UserError
from compiler.metadata import locate
from compiler.passes.lower_training import train_job
from compiler.trainjob import BatchPhase, SchedulePhase, TrainJob
from ocspec.experiment import Experiment
from ocspec.mixture import Dataset
from ocspec.sources import Directory, JsonLines, Source
from ocspec.training import FineTune, Stage

COMPRESSED = (".gz", ".zst", ".bz2", ".xz")


Jobs = list[tuple[Stage, TrainJob]]
_last: list[tuple[Experiment, Jobs]] = []
"""The jobs of the experiment that was asked for last: a dozen rules ask one after the other."""


def jobs(draft: Draft) -> Jobs:
    """Every stage with the job that it becomes, in order."""
    if not _last or _last[0][0] is not draft.experiment:
        _last[:] = [(draft.experiment, _jobs(draft.experiment))]
    return _last[0][1]


def _jobs(experiment: Experiment) -> Jobs:
    found: Jobs = []
    for stage in experiment.curriculum.stages:
        before = found[-1][1] if found else None
        found.append((stage, train_job(experiment.model, experiment.tokenizer.vocab_size, stage, before)))
    return found


def fine_tuning(draft: Draft) -> list[FineTune]:
    """The stages that learn instructions."""
    return [stage for stage in draft.experiment.curriculum.stages if isinstance(stage, FineTune)]


def root_of(draft: Draft, name: str) -> Dataset | None:
    """The data set at the end of a chain of bases; None where the chain leads nowhere, or in a circle."""
    known = {dataset.name: dataset for dataset in draft.experiment.data}
    at = known.get(name)
    for _ in known:
        if at is None or at.base is None:
            return at
        at = known.get(at.base)
    return None


def most_tokens(draft: Draft, name: str) -> int | None:
    """No more tokens than this can come of a data set; None where nothing is known.

    What the data set or its base declares, else what its sources declare, else one token for a byte of plain text.
    """
    known = {dataset.name: dataset for dataset in draft.experiment.data}
    at: str | None = name
    sources: tuple[Source, ...] = ()
    for _ in known:  # a circle of bases, which a rule refuses, must not hold others up
        if at not in known or sources:
            break
        declared = known[at].declared
        if declared is not None and declared.tokens is not None:
            return declared.tokens
        sources, at = known[at].sources, known[at].base
    bounds = [_most_tokens_of(draft, source) for source in sources]
    found = [bound for bound in bounds if bound is not None]
    return sum(found) if found and len(found) == len(bounds) else None


def _most_tokens_of(draft: Draft, source: Source) -> int | None:
    if source.declared is not None and source.declared.tokens is not None:
        return source.declared.tokens
    plain = isinstance(source, Directory) or (isinstance(source, JsonLines) and not source.path.endswith(COMPRESSED))
    return draft.sources[source.name].bytes if plain and source.name in draft.sources else None


def rate_at(phases: Sequence[SchedulePhase], step: int) -> float:
    """The learning rate of optimizer step `step` (0-based), as `SchedulePhase` says; after the last, the last one's.

    >>> rate_at([SchedulePhase(shape="linear", steps=4, start=0.0, end=1.0)], 1)
    0.5
    """
    for phase in phases:
        if step < phase.steps:
            return _along(phase, (step + 1) / phase.steps)
        step -= phase.steps
    return phases[-1].end


def _along(phase: SchedulePhase, progress: float) -> float:
    start, end = phase.start, phase.end
    if phase.shape == "exponential" and start > 0 and end > 0:
        rate: float = start * (end / start) ** progress
        return rate
    if phase.shape == "cosine":
        return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
    return start if phase.shape == "constant" else start + (end - start) * progress


def step_seconds(job: TrainJob, phase: BatchPhase, device: str | None = None) -> float | None:
    """Least seconds of one optimizer step on the devices that the job takes, by the most that was published of them.

    None on processors, whose speed differs widely. `device` is their type; None: whatever the fastest makes of it.
    """
    if job.backend == "torch" and job.parallelism.devices == 1:
        return None
    flops = phase.global_batch * phase.sequence_length * flops_per_token(job.model, phase.sequence_length)
    return float(flops / (job.parallelism.devices * speed(device, job.model.parameters).high))


def device(draft: Draft) -> str | None:
    """The type of GPU that the profile says its nodes have; None where nothing is said."""
    return draft.profile.settings("train").device if draft.profile else None


def located(draft: Draft, path: str) -> str:
    """A path as an absolute one, or as it stands where a variable is missing here."""
    try:
        return locate(path, draft.base)
    except UserError:
        return path


def documents_sources(draft: Draft) -> Iterator[tuple[Dataset, Source]]:
    """Every source of documents with its data set."""
    for dataset in draft.experiment.data:
        for source in dataset.sources:
            yield dataset, source


def amount(count: float) -> str:
    """A count in three digits.

    >>> amount(160), amount(1_310_720), amount(2_516_582_400_000)
    ('160', '1.31 M', '2.52 T')
    """
    for prefix, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= 0.9995 * size:
            return f"{count / size:.3g} {prefix}" if count < 999.5 * size else f"{count / size:,.0f} {prefix}"
    return f"{count:.3g}"
