"""Judges each step before its update: a loss or gradient that is not finite, a loss that jumps; and what to do then.

Not an optimizer and no repair: it looks at two numbers of a step, and the job says what follows (`trainjob.Guard`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, Literal

import attrs

from compiler.errors import UserError
from compiler.trainjob import Guard, TrainJob

Anomaly = Literal["not finite", "spike"]


@attrs.frozen
class Verdict:
    """What is wrong with a step, if anything, and whether its update is left out."""

    anomaly: Anomaly | None = None
    skip: bool = False


@attrs.define
class LossGuard:
    """Keeps the losses of the last steps. `judge` each step once, in order; `recall` those before an interruption."""

    job: TrainJob
    skips: int = 0
    _losses: deque[float] = attrs.field(init=False)

    @_losses.default
    def _window(self) -> deque[float]:
        return deque(maxlen=self.policy.window)

    @property
    def policy(self) -> Guard:
        """What the job wants done."""
        return self.job.guard

    def recall(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take in the metrics of earlier steps, as they were written down."""
        for line in lines:
            self.skips += bool(line.get("skipped"))
            if not line.get("anomaly"):
                self._losses.append(line["loss"])

    def judge(self, step: int, loss: float, norm: float, rate: float) -> Verdict:
        """Judge step `step` (0-based) by its loss and gradient norm; UserError where the job ends here.

        Losses of anomalous steps do not enter the median that later ones are held against.
        """
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what = f"loss {loss} and gradient norm {norm}"
            return self._act("not finite", self.policy.not_finite, what, step, rate)
        usual = median(self._losses) if len(self._losses) == self.policy.window else math.inf
        if loss > self.policy.spike_ratio * usual:
            what = f"loss {loss:.4g}, {loss / usual:.3g} times the median of the {self.policy.window} steps before"
            return self._act("spike", self.policy.spike, what, step, rate)
        self._losses.append(loss)
        return Verdict()

    def _act(self, anomaly: Anomaly, policy: str, what: str, step: int, rate: float) -> Verdict:
        where = f"stage {self.job.stage}: {what} at step {step + 1} of {self.job.steps} (learning rate {rate:g})"
        if policy == "stop":
            fix = "lower the learning rate, warm up longer, or look at the batch of this step"
            raise UserError(where, fix=f"{fix}; guard says what is done instead of stopping")
        if policy == "note":
            return Verdict(anomaly)
        self.skips += 1
        if self.skips > self.policy.max_skips:
            raise UserError(
                f"{where}; with it {self.skips} steps are skipped, and guard.max_skips is {self.policy.max_skips}",
                fix="lower the learning rate, warm up longer, or raise max_skips",
            )
        return Verdict(anomaly, skip=True)
