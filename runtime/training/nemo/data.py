"""The job's batches in NeMo's terms: a data module that yields a rank's micro batches in the order of the blend.

Not NeMo's PreTrainingDataModule or FineTuningDataModule, though it reads the same files: those shuffle by themselves,
know one sequence length, and pad samples in a way of their own. Every back end sees the same sequence at the same step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from lightning.pytorch import LightningDataModule
from megatron.core import parallel_state
from nemo.lightning.pytorch.plugins import MegatronDataSampler
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from compiler.trainjob import TrainJob
from runtime.training.data import Batches
from runtime.training.megatron.engine import micro_batches


class MicroBatches(IterableDataset[dict[str, Tensor]]):
    """The micro batches of this rank from step `first` (0-based) to the end of the job."""

    def __init__(self, job: TrainJob, batches: Batches, first: int) -> None:
        self._job, self._batches, self._first = job, batches, first

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for step in range(self._first, self._job.steps):
            part = self._batches[step].part(parallel_state.get_data_parallel_rank(), self._job.parallelism.data)
            yield from micro_batches(part, self._job.micro_batch)


class PhaseSampler(MegatronDataSampler):
    """Tells NeMo the size of each step, which differs between a job's phases; the batches need no sampling."""

    def __init__(self, job: TrainJob, first: int) -> None:
        phase = job.batch_phase(first)
        super().__init__(
            seq_len=phase.sequence_length,
            micro_batch_size=job.micro_batch,
            global_batch_size=phase.global_batch,
            output_log=False,
        )
        self._job, self._first = job, first

    def transform_dataloader(self, dataloader: DataLoader[Any], consumed_samples: int = 0) -> DataLoader[Any]:
        """As it is."""
        return dataloader

    def on_megatron_step_start(self, step: Any) -> Any:
        """The step with the numbers of its phase; NeMo counts its steps from where it began."""
        phase = self._job.batch_phase(self._first + step.trainer.global_step)
        share = phase.global_batch // self._job.parallelism.data
        return dataclasses.replace(
            step,
            seq_length=phase.sequence_length,
            micro_batch_size=self._job.micro_batch,
            num_microbatches=share // self._job.micro_batch,
        )


class BlendDataModule(LightningDataModule):
    """The batches of a job from step `first` on."""

    def __init__(self, job: TrainJob, batches: Batches, first: int) -> None:
        super().__init__()
        self.data_sampler = PhaseSampler(job, first)
        self.tokenizer = None
        self._micro_batches = MicroBatches(job, batches, first)

    def train_dataloader(self) -> DataLoader[Any]:
        """One item is one micro batch, in this process: they are slices of mapped files."""
        return DataLoader(self._micro_batches, batch_size=None, num_workers=0)
