"""Calibration: what is known from past runs, as plain data. Where none were, the priors of this package hold.

It is read from a store by `runtime.calibration`; nothing here opens a file. No estimate enters a fingerprint or a plan.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from compiler.cost.interval import Interval


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


@attrs.frozen(kw_only=True)
class Calibration:
    """Facts and rates of past runs.

    `known` has built artefacts by the fingerprint of their task. `rates` are seconds of a shard for a unit of its
    operator's work as `time.work` counts it, by `op_id`; `memory` is the peak of a shard in MB (2^20 bytes), likewise.
    `utilization` is the share of the peak that training reached, by device and back end ("H100/nemo", "cpu/torch").
    `bytes_per_token` is by language. `processors` are those of this machine, which shards share where it runs them.
    """

    known: Mapping[str, Known] = attrs.field(factory=dict)
    rates: Mapping[str, Interval] = attrs.field(factory=dict)
    memory: Mapping[str, Interval] = attrs.field(factory=dict)
    utilization: Mapping[str, Interval] = attrs.field(factory=dict)
    bytes_per_token: Mapping[str, Interval] = attrs.field(factory=dict)
    processors: int | None = None


PRIORS = Calibration()
