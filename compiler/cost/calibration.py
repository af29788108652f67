"""Calibration: what is known from past runs, as plain data. Where none were, the priors of this package hold.

It is read from a store by `runtime.calibration`; nothing here opens a file. No estimate enters a fingerprint or a plan.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from compiler.cost.interval import Interval


@attrs.frozen(kw_only=True)
class Known:
    """What a built artefact tells, by its manifest: documents and tokens where it counted them, and bytes."""

    documents: int | None = None
    text_bytes: int | None = None
    tokens: int | None = None
    bytes_written: int | None = None


@attrs.frozen(kw_only=True)
class Calibration:
    """Facts and rates of past runs.

    `known` has built artefacts by the fingerprint of their task. `rates` are seconds of one processor for a unit of an
    operator's work, by `op_id`, as measured here over the prior's: 1.0 is as fast as the prior. `memory` is the peak of
    a shard in MB by `op_id`. `mfu` is the share of the peak FLOP/s that training reached, by device type and back end
    ("H100/nemo"), "cpu/torch" being FLOP/s of a processor over that of `devices.CPU_FLOPS`. `bytes_per_token` is by
    language, "" for all.
    """

    known: Mapping[str, Known] = attrs.field(factory=dict)
    rates: Mapping[str, Interval] = attrs.field(factory=dict)
    memory: Mapping[str, Interval] = attrs.field(factory=dict)
    mfu: Mapping[str, Interval] = attrs.field(factory=dict)
    bytes_per_token: Mapping[str, Interval] = attrs.field(factory=dict)


PRIORS = Calibration()
