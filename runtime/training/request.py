"""What every back end is asked for: one stage, where its inputs lie, where it writes, and who takes part and looks on.

Not the job, which says what to compute: all here is about one attempt at it. A back end has a function `train` that
takes a `Request`, and every rank calls it with the same one but for `out` and `ranks`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from compiler.trainjob import TrainJob
from runtime import interruption
from runtime.training.ranks import Ranks


def _silent(done: int, total: int, unit: str) -> None:
    """Progress that nobody looks at."""


@attrs.frozen(kw_only=True, eq=False)
class Request:
    """One attempt at a stage.

    `tokens` are token directories in the order of the blend's data sets; `init` is the output of the stage before;
    `held_out` the text that the job measures on while it trains; `tokenizer` a tokenizer.json to put beside the
    weights, and `bos_eos` the ids in it that begin and end a text. `out` is empty and becomes the artefact; `resume`
    outlives a killed attempt and is the same directory for all ranks. `stats` takes figures for the manifest. `stop` is
    asked between two steps, on every rank, whether to save and leave.
    """

    job: TrainJob
    tokens: Sequence[Path]
    blend: Path
    init: Path | None = None
    held_out: Path | None = None
    tokenizer: Path | None = None
    bos_eos: tuple[int, int] | None = None
    out: Path
    resume: Path
    threads: int
    ranks: Ranks = attrs.field(factory=Ranks.one)
    progress: Callable[[int, int, str], None] = _silent
    stop: Callable[[], bool] = interruption.requested
    stats: dict[str, Any] = attrs.field(factory=dict)
