"""Calibration: what is known from past runs, as plain data. Where none were, the priors of this package hold.

It is read from a store by `runtime.calibration`; nothing here opens a file. No estimate enters a fingerprint or a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import attrs

from compiler.cost.interval import Interval
from compiler.cost.selectivity import Counted


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
class Reached:
    """A training that was run from its first step to its last: the share of the peak, and what it was reached with."""

    share: Interval
    flops: float
    parameters: int


@attrs.frozen(kw_only=True)
class Calibration:
    """Facts and rates of past runs.

    `known` has built artefacts by the fingerprint of their task. `rates` are seconds of a shard for a unit of its
    operator's work as `time.work` counts it, by `op_id`; `memory` is the peak of a shard in MB (2^20 bytes), likewise.
    `utilization` has every whole training by device and back end ("H100/nemo", "cpu/torch").
    `bytes_per_token` is of text in any language. `kept` are shares that filters kept, by `selectivity.judge`; `package`
    is what a fetched package holds. `processors` are those of this machine, which shards share where
    it runs them.
    """

    known: Mapping[str, Known] = attrs.field(factory=dict)
    rates: Mapping[str, Interval] = attrs.field(factory=dict)
    memory: Mapping[str, Interval] = attrs.field(factory=dict)
    utilization: Mapping[str, tuple[Reached, ...]] = attrs.field(factory=dict)
    bytes_per_token: Interval | None = None
    kept: Mapping[str, Counted] = attrs.field(factory=dict)
    package: Counted | None = None
    processors: int | None = None

    def reached(self, device: str | None, backend: str, flops: float, parameters: int) -> Interval | None:
        """The share of the peak that so much work of so large a model has reached; None where no past run is like it.

        Past runs are alike if their model had up to SIMILAR times as many parameters, or as few, and if they did at
        least COMPARABLE of the work.
        """
        alike = [
            past.share
            for past in self.utilization.get(f"{device}/{backend}", ())
            if past.flops >= COMPARABLE * flops and parameters / SIMILAR <= past.parameters <= parameters * SIMILAR
        ]
        return reduce(Interval.hull, alike) if alike else None


PRIORS = Calibration()
