"""What a report says, as plain frozen data: every number of it, and no words or pictures.

None stands for "not there yet" everywhere: a report on half a run is a report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from compiler.plan import DedupSummary, StageSummary
from compiler.trainjob import ModelShape
from runtime.report.charts.scale import Point

Status = Literal["done", "failed", "started", "not run"]
Counts = Mapping[str, int]


@attrs.frozen(kw_only=True)
class TaskFacts:
    """One task: how far it is, what it took (all shards together), what it made.

    `wall_seconds` is from the start of its first shard to the end of its last; `reused` says that no run of
    this plan built it. `progress` is the last word of a task that is not done: "120 of 400 steps".
    """

    id: str
    lane: str
    label: str
    op: str
    status: Status
    shards: int
    upstream: tuple[str, ...]
    fingerprint: str
    digest: str | None = None
    reused: bool = False
    error: str = ""
    progress: str = ""
    started: float | None = None
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_mb: int | None = None
    bytes_written: int | None = None
    hosts: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class FunnelStep:
    """What one step let through; None where it has not run."""

    task: str
    step: str
    status: Status
    documents: int | None = None
    kept: int | None = None
    dropped: Counts = attrs.field(factory=dict)

    @property
    def removed(self) -> int | None:
        """Documents dropped, for all reasons together."""
        return None if self.documents is None else sum(self.dropped.values())


@attrs.frozen(kw_only=True)
class LanguageCount:
    """Documents and bytes of one language as admitted and as left after refining."""

    language: str
    admitted_documents: int | None
    admitted_bytes: int | None
    clean_documents: int | None
    clean_bytes: int | None


@attrs.frozen(kw_only=True)
class LanguageFunnel:
    """Documents of one language that went in and that each step kept; None where a step has not counted them.

    `languages` is more than one where the rare ones are taken together.
    """

    language: str
    seen: int | None
    kept: tuple[int | None, ...]
    languages: int = 1

    @property
    def left(self) -> int | None:
        """Documents after the last step that has counted."""
        return next((count for count in reversed(self.kept) if count is not None), self.seen)


@attrs.frozen(kw_only=True)
class SignalHistogram:
    """Values of a rule's signal over bins with these edges: documents that were measured, and those it dropped.

    `threshold` is the rule's. Measured are all documents of the rule's types, also of languages it does not judge.
    """

    edges: tuple[float, ...]
    measured: tuple[int, ...]
    dropped: tuple[int, ...]
    threshold: float


@attrs.frozen(kw_only=True)
class RuleFacts:
    """A quality rule that dropped documents: what drops one (`signal > 0.5`, or SQL), how many, its histogram."""

    rule: str
    condition: str
    dropped: int
    histogram: SignalHistogram | None = None


@attrs.frozen(kw_only=True)
class DatasetFacts:
    """A data set's way from its sources to tokens. `derived`: it selects from another and adds nothing.

    `generators` says of each synthetic source what wrote it, by the name of the source.
    """

    name: str
    derived: bool
    steps: tuple[FunnelStep, ...]
    languages: tuple[LanguageCount, ...] = ()
    redactions: Counts | None = None
    generators: Mapping[str, str] = attrs.field(factory=dict)
    by_language: tuple[LanguageFunnel, ...] = ()
    rules: tuple[RuleFacts, ...] = ()
    training_documents: int | None = None
    tokens: int | None = None

    @property
    def documents(self) -> int | None:
        """Documents that went in."""
        return self.steps[0].documents

    @property
    def funnel_steps(self) -> tuple[str, ...]:
        """Names of the last steps, one for each number of a line of `by_language`."""
        counted = len(self.by_language[0].kept) if self.by_language else 0
        return tuple(step.step for step in self.steps[len(self.steps) - counted :])

    @property
    def judged(self) -> int | None:
        """Documents that quality rules judged."""
        return next((step.documents for step in self.steps if step.step == "refine"), None)

    @property
    def kept(self) -> int | None:
        """Documents left after the last step."""
        return self.steps[-1].kept


@attrs.frozen(kw_only=True)
class InstructionFacts:
    """A fine-tuning data set on its way to samples: pairs, those too long for the stage, and what is left."""

    dataset: str
    stage: str
    status: Status
    pairs: int | None = None
    too_long: int | None = None
    samples: int | None = None
    tokens: int | None = None


@attrs.frozen(kw_only=True)
class ContaminationFacts:
    """A test set that a step looked for: its items and those of them that anything is evidence of, what was dropped.

    `documents` were dropped because of it, `by_item` says how many for each item that was hit, most first.
    `templates` are phrases and names that are no evidence.
    """

    task: str
    benchmark: str
    status: Status
    items: int | None = None
    looked_for: int | None = None
    documents: int | None = None
    templates: int | None = None
    by_item: Counts = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class MixPart:
    """A data set in a stage's mixture. Shares are of tokens; fine-tuning asks for whole epochs instead."""

    dataset: str
    asked: float | None
    drawn: int | None = None
    share: float | None = None


@attrs.frozen(kw_only=True)
class StageMix:
    """What a stage trains on; `languages` is an estimate: drawn tokens spread over languages by bytes."""

    stage: str
    unit: Literal["sequences", "samples"]
    status: Status
    parts: tuple[MixPart, ...]
    languages: tuple[tuple[str, float], ...] = ()


@attrs.frozen(kw_only=True)
class AnomalyFacts:
    """A step whose loss or gradient was out of the ordinary; `loss` is None where it was no number."""

    step: int
    kind: str
    skipped: bool
    loss: float | None


@attrs.frozen(kw_only=True)
class StageFacts:
    """A training stage: its plain integers, its curves by step (from 1), its results.

    `source_loss` is by data set, where a batch draws from several; `validation` is bits per byte of held-out text while
    the stage trains, of all documents under "", then by language.
    """

    summary: StageSummary
    status: Status
    answer_only: bool
    planned_lr: tuple[Point, ...]
    loss: tuple[Point, ...] = ()
    lr: tuple[Point, ...] = ()
    source_loss: Mapping[str, tuple[Point, ...]] = attrs.field(factory=dict)
    anomalies: tuple[AnomalyFacts, ...] = ()
    validation: Mapping[str, tuple[Point, ...]] = attrs.field(factory=dict)
    loss_tokens: int | None = None
    final_loss: float | None = None
    tokens_per_second: float | None = None
    device: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def peak_lr(self) -> float:
        """The highest planned learning rate."""
        return max((rate for _, rate in self.planned_lr), default=self.summary.first_lr)


@attrs.frozen(kw_only=True)
class BitsTotal:
    """Held-out documents and the bits per byte that they cost."""

    documents: int
    num_bytes: int
    bits_per_byte: float | None


@attrs.frozen(kw_only=True)
class BitsFacts:
    """One stage's bits per byte: in all under "", then by language. `order` is the yardstick's, if any."""

    stage: str
    kind: str
    order: int | None
    model: Mapping[str, BitsTotal] | None = None
    yardstick: Mapping[str, BitsTotal] | None = None

    def of_model(self, language: str = "") -> float | None:
        """The model's bits per byte."""
        return _bits(self.model, language)

    def of_yardstick(self, language: str = "") -> float | None:
        """The n-gram's bits per byte."""
        return _bits(self.yardstick, language)


@attrs.frozen(kw_only=True)
class BenchmarkFacts:
    """A generation benchmark that the plan asks for, and how far it is."""

    stage: str
    benchmark: str
    status: Status


@attrs.frozen(kw_only=True)
class DedupFacts:
    """A deduplication step: its collision curve and what it dropped, by rule."""

    summary: DedupSummary
    dropped: Counts | None = None


@attrs.frozen(kw_only=True)
class ReportData:
    """All of a report."""

    experiment: str
    plan: str
    parameters: int
    parameters_without_embeddings: int
    model: ModelShape | None
    tasks: tuple[TaskFacts, ...]
    datasets: tuple[DatasetFacts, ...]
    instructions: tuple[InstructionFacts, ...]
    contamination: tuple[ContaminationFacts, ...]
    mixes: tuple[StageMix, ...]
    stages: tuple[StageFacts, ...]
    bits: tuple[BitsFacts, ...]
    benchmarks: tuple[BenchmarkFacts, ...]
    deduplication: tuple[DedupFacts, ...]
    versions: tuple[tuple[Mapping[str, str], int], ...]
    hosts: Counts
    first_event: float | None = None
    last_event: float | None = None
    runs: int = 0
    spec_files: tuple[str, ...] = ()

    @property
    def done(self) -> int:
        """Tasks that are finished."""
        return sum(task.status == "done" for task in self.tasks)

    @property
    def complete(self) -> bool:
        """Whether everything is finished."""
        return self.done == len(self.tasks)


def _bits(totals: Mapping[str, BitsTotal] | None, language: str) -> float | None:
    total = totals.get(language) if totals else None
    return total.bits_per_byte if total else None
