"""The job's learning rate in NeMo's terms: a scheduler module over `runtime.training.schedule`.

Not one of NeMo's: its warm-up, hold and anneal takes ratios and has no exponential decay, and what Megatron calls
exponential is another curve.
"""

from __future__ import annotations

from typing import Any

from nemo.lightning.pytorch.optim import LRSchedulerModule
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from compiler.trainjob import TrainJob
from runtime.training.schedule import learning_rate


class JobRate(LRScheduler):
    """The rate of each step of the job, from step `first` (0-based) on; after the last step it stays."""

    def __init__(self, optimizer: Any, job: TrainJob, first: int) -> None:
        self._job, self._first = job, first
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """The same for all groups of weights."""
        step = min(self._first + self.last_epoch, self._job.steps - 1)
        return [learning_rate(self._job.schedule, step)] * len(self.optimizer.param_groups)


class JobSchedule(LRSchedulerModule):
    """Gives Lightning a `JobRate` that it steps with the optimizer."""

    def __init__(self, job: TrainJob, first: int = 0) -> None:
        super().__init__()
        self._job, self._first = job, first

    def scheduler(self, model: Any, optimizer: Any) -> dict[str, Any]:
        """Lightning's description of a scheduler, once for each optimizer step."""
        rate = JobRate(optimizer, self._job, self._first)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rate, "interval": "step", "frequency": 1}}
