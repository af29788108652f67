"""Calibration: what is known from past runs, as plain data. Where none were, the priors of this package hold.

It is read from a store by `runtime.calibration`; nothing here opens a file. No estimate enters a fingerprint or a plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import TypeVar

import attrs

from compiler.cost.interval import Interval
from compiler.cost.selectivity import Counted
from compiler.trainjob import ModelShape


@attrs.frozen(kw_only=True)
class Known:
    """What a built artefact tells, by its manifest: counts where it has them, bytes, and what its shards took.

    `seconds` is the longest shard's, without the start of its process; `cpu_seconds` are of all shards together;
    `peak_memory_mb` (2^20 bytes) is the largest's.
    """

    documents: int | None = None
    text_bytes: int | None = None
    tokens: int | None = None
    bytes_written: int | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_mb: float | None = None


COMPARABLE = 0.1
"""Of the most work, or of what is planned: less is start-up for the most part, and tells no rate."""

SIMILAR = 2.0
"""Models of so many times as many parameters, or as few, keep a device as busy."""


@attrs.frozen(kw_only=True)
class Rate:
    """Seconds of a shard for a unit of work, the most units that told it, and the longest that any shard took.

    Part of what a task takes is no work: a rate that is told by little of it is too slow for much.
    """

    per_unit: Interval
    most: float
    longest: float

    @classmethod
    def of(cls, tasks: Sequence[tuple[float, float]], repeated: float) -> Rate:
        """From units and seconds of past tasks, of those that did COMPARABLE work, within what may be otherwise."""
        most = max(units for units, _ in tasks)
        told = [Interval.about(seconds / units, repeated) for units, seconds in tasks if units >= COMPARABLE * most]
        longest = max(seconds for _, seconds in tasks) * repeated
        return cls(per_unit=reduce(Interval.hull, told), most=most, longest=longest)

    def seconds(self, units: Interval, prior: Interval) -> Interval:
        """Of so many units: less than was seen takes no longer than that, of much more the prior may hold as well."""
        told = units * self.per_unit
        if units.high < self.most * COMPARABLE:
            return Interval(min(told.low, prior.low), max(told.high, self.longest))
        if units.high > self.most / COMPARABLE:
            return Interval(min(told.low, prior.low), max(told.high, prior.high) if prior.is_known else told.high)
        return told


@attrs.frozen(kw_only=True)
class Reached:
    """A training that was run from its first step to its last: the share of the peak, and what it was reached with."""

    share: Interval
    flops: float
    parameters: int


@attrs.frozen(kw_only=True)
class Scored:
    """A model that was measured on text: seconds of the shard, and operations for one device, as `time.scoring_flops`
    bounds those of the text that was scored.
    """

    seconds: float
    flops: float
    parameters: int

    def again(self, flops: Interval, start: float) -> Interval:
        """Seconds of so many operations for a device, of which up to `start` s are no work, however much there is."""
        fixed = min(start, self.seconds)
        shares = (flops.low / self.flops, flops.high / self.flops)
        low, high = (self.seconds * share for share in shares)
        return Interval(low + min(0, fixed * (1 - shares[0])), high + max(0, fixed * (1 - shares[1])))


def scoring_kind(device: str | None, model: ModelShape) -> str:
    """Models that score text alike but for their operations: on one device, with as many ids, in windows as long.

    Ids decide how many bytes a token has, windows how often a token is read.
    """
    return f"{device}/{model.vocab_size}/{model.max_positions}"


@attrs.frozen(kw_only=True)
class Calibration:
    """Facts and rates of past runs.

    `known` has built artefacts by the fingerprint of their task. `rates` are seconds of a shard for a unit of its
    operator's work as `time.work` counts it, by `op_id`; `memory` is the peak of a shard in MB (2^20 bytes), likewise.
    `utilization` has every whole training by device and back end ("H100/nemo", "cpu/torch").
    `bytes_per_token` is of text in any language. `kept` are shares that filters kept, by `selectivity.judge`; `package`
    is what a fetched package holds. `scored` has models that were measured, by `scoring_kind`, and `samples` what is
    measured on, documents and bytes of text, by the fingerprint of a task of which the very same text was scored
    before. `processors` are those of this machine, which shards share where
    it runs them.
    """

    known: Mapping[str, Known] = attrs.field(factory=dict)
    rates: Mapping[str, Rate] = attrs.field(factory=dict)
    memory: Mapping[str, Interval] = attrs.field(factory=dict)
    utilization: Mapping[str, tuple[Reached, ...]] = attrs.field(factory=dict)
    bytes_per_token: Interval | None = None
    kept: Mapping[str, Counted] = attrs.field(factory=dict)
    package: Counted | None = None
    scored: Mapping[str, tuple[Scored, ...]] = attrs.field(factory=dict)
    samples: Mapping[str, Known] = attrs.field(factory=dict)
    processors: int | None = None

    def reached(self, device: str | None, backend: str, flops: float, parameters: int) -> Interval | None:
        """The share of the peak that so much work of so large a model has reached; None where no past run is like it.

        Past runs are alike if their model had up to SIMILAR times as many parameters, or as few, and if they did at
        least COMPARABLE of the work.
        """
        runs = _alike(self.utilization.get(f"{device}/{backend}", ()), flops, parameters)
        return _hull(past.share for past in runs)

    def scoring(self, device: str | None, model: ModelShape, flops: Interval, start: float) -> Interval | None:
        """Seconds that models like this one took, were it for so many operations of a device; None where none was.

        What makes them alike is as above. `start` is as of `Scored.again`.
        """
        runs = _alike(self.scored.get(scoring_kind(device, model), ()), flops.high, model.parameters)
        return _hull(past.again(flops, start) for past in runs)


Run = TypeVar("Run", Reached, Scored)


def _alike(runs: Iterable[Run], flops: float, parameters: int) -> list[Run]:
    return [
        past
        for past in runs
        if past.flops >= COMPARABLE * flops and parameters / SIMILAR <= past.parameters <= parameters * SIMILAR
    ]


def _hull(found: Iterable[Interval]) -> Interval | None:
    every = list(found)
    return reduce(Interval.hull, every) if every else None


PRIORS = Calibration()
