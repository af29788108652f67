"""A rank's part of a model on megatron-core, and what a step, a state and a measurement are with it.

Not a run (`backend` and NeMo's `run` drive it) and not how the model is built (`build`) or named (`names`, `state`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from compiler.errors import UserError
from compiler.trainjob import TrainJob
from runtime.training import handover
from runtime.training.checkpoint import save_hf_weights
from runtime.training.data import IGNORE, Batch
from runtime.training.device import Device
from runtime.training.loop import Judge, Step, copy_records
from runtime.training.ranks import Ranks
from runtime.training.request import Request
from runtime.training.score import Ints, LogProbs
from runtime.training.sealed import (
    begin_aside,
    drop_old,
    latest_directory,
    put_in_place,
    read_facts,
    seal,
    step_directory,
    write_sealed,
)


def newest_step(job: TrainJob, resume: Path, ranks: Ranks) -> int:
    """The steps behind the newest whole state under `resume`, which rank 0 looks for; 0 where there is none."""
    found = latest_directory(resume) if ranks.leads else None
    if found and found[1]["job"] != job.identity:
        raise UserError(f"the state at step {found[1]['step']} is of another job", where=str(resume), fix="empty it")
    return ranks.agree(found[1]["step"] if found else 0)


@attrs.define(eq=False)
class MegatronEngine:
    """A rank's part of the model and the optimizer: the `Engine` of this back end."""

    job: TrainJob
    built: Any
    device: Device
    ranks: Ranks

    def start(self, init: Path | None, resume: Path, first: int) -> None:
        """Take up the state after `first` steps under `resume`, or for 0 what the job starts from."""
        if not first:
            sizes, check = handover.weight_sizes(self.job.model), self.ranks.leads
            begin = handover.start_of(self.job, init, sizes, check=check)
            self.ranks.barrier()  # rank 0 has looked at all that the others read
            _state().fill(self.built, self.job.model, begin.tensor, begin.optimizer_steps)
            return
        directory = step_directory(resume, first)
        facts = read_facts(directory)
        distributed, steps = facts["distributed_optimizer"], facts["optimizer_steps"]
        _state().load(self.built, directory, self.job.model, distributed=distributed, steps=steps)

    def update(self, batch: Batch, rate: float, judge: Judge) -> Step:
        """One optimizer step: the gradient over all ranks, the judgement, and if that allows it the update."""
        return self.conclude(batch, self._gradients(batch), rate, judge)

    def conclude(self, batch: Batch, sums: Tensor, rate: float, judge: Judge) -> Step:
        """The second half of a step, once gradients and sums of losses by data set (float64) are there on all ranks."""
        totals = sums.tolist()
        optimizer = self.built.optimizer
        with self.ranks.computing():
            optimizer.prepare_grads()
            norm = float(optimizer.get_grad_norm())
        verdict = judge(sum(totals) / batch.loss_tokens, norm)
        if not verdict.skip:
            self._step(rate, norm)
        return Step.of(batch, totals, norm, verdict)

    def _gradients(self, batch: Batch) -> Tensor:
        """Add up the gradient of the batch's mean loss; sums of losses by data set, float64, the same on every rank."""
        from megatron.core import parallel_state
        from megatron.core.pipeline_parallel.schedules import get_forward_backward_func

        part = batch.part(parallel_state.get_data_parallel_rank(), self.job.parallelism.data)
        micro = list(micro_batches(part, self.job.micro_batch))
        self.built.chunk.zero_grad_buffer()
        self.built.optimizer.zero_grad()
        with self.ranks.computing():
            kept = get_forward_backward_func()(
                forward_step_func=self._forward,
                data_iterator=iter(micro),
                model=[self.built.chunk],
                num_microbatches=len(micro),
                seq_length=part.ids.shape[1],
                micro_batch_size=self.job.micro_batch,
                forward_only=False,
            )
        return self.gathered([losses["sums"] for losses in kept], len(batch.names))

    def gathered(self, sums: list[Tensor], names: int) -> Tensor:
        """Sums of losses of micro batches, added up over all ranks: those of the last stage know them."""
        from megatron.core import parallel_state

        total = torch.zeros(names, dtype=torch.float64, device=self.device.torch)
        if parallel_state.is_pipeline_last_stage() and parallel_state.get_tensor_model_parallel_rank() == 0:
            total += sum(sums)
        return self.ranks.add(total)

    def _forward(self, batches: Iterator[dict[str, Tensor]], model: Any) -> tuple[Tensor, Callable[[Tensor], Any]]:
        """What Megatron's schedules call for each micro batch: the output, and the loss of it."""
        batch = on_this_rank(next(batches), self.job, self.device)
        losses_BS = model(batch["tokens"], batch["position_ids"], None, labels=batch["labels"])
        return losses_BS, lambda losses_BS: masked_loss(batch, losses_BS)

    def _step(self, rate: float, norm: float) -> None:
        """Clip by the norm and update, as Megatron's optimizer does when it is not asked in between."""
        from megatron.core.optimizer.clip_grads import clip_grad_by_total_norm_fp32

        optimizer, settings = self.built.optimizer, self.job.optimizer
        for group in optimizer.param_groups:
            group["lr"] = rate
            # Megatron leaves this to its own scheduler; NeMo has done it, and calls the factor by another name.
            group["weight_decay"] = settings.weight_decay * group.get("wd_mult", group.get("pre_wd_mult"))
        parameters = optimizer.get_parameters()
        if settings.clip_norm > 0 and parameters:
            clip_grad_by_total_norm_fp32(parameters, settings.clip_norm, norm)
        with self.ranks.computing():
            optimizer.step_with_ready_grads()

    def score(self, ids: Ints, labels: Ints) -> LogProbs:
        """The log-probability of each label under the model as it is now, in the precision that it trains in.

        Every replica computes all of it, and all ranks get it.
        """
        from megatron.core import parallel_state
        from megatron.core.pipeline_parallel.schedules import get_forward_backward_func

        width = ids.shape[1]
        padding = ((0, 0), (0, -width % self._length_unit))
        padded = Batch(
            np.pad(ids, padding), np.pad(labels, padding, constant_values=IGNORE), np.zeros(len(ids), np.int64), ("",)
        )
        with torch.no_grad(), self.ranks.computing():
            kept = get_forward_backward_func()(
                forward_step_func=self._forward_scores,
                data_iterator=iter(list(micro_batches(padded, len(ids)))),
                model=[self.built.chunk],
                num_microbatches=1,
                seq_length=padded.ids.shape[1],
                micro_batch_size=len(ids),
                forward_only=True,
            )
        scores = torch.zeros(padded.ids.shape, dtype=torch.float64, device=self.device.torch)
        if parallel_state.is_pipeline_last_stage() and parallel_state.get_tensor_model_parallel_rank() == 0:
            scores -= kept[0]["losses"].double() / self.job.parallelism.data
        found: LogProbs = self.ranks.add(scores)[:, :width].cpu().numpy()
        return found

    @property
    def _length_unit(self) -> int:
        """What the length of a sequence must be a multiple of."""
        return self.job.parallelism.tensor if self.job.parallelism.sequence_parallel else 1

    def _forward_scores(self, batches: Iterator[dict[str, Tensor]], model: Any) -> tuple[Tensor, Callable[..., Any]]:
        batch = on_this_rank(next(batches), self.job, self.device)
        losses_BS = model(batch["tokens"], batch["position_ids"], None, labels=batch["labels"])
        return losses_BS, lambda losses_BS: (losses_BS.sum(), torch.tensor(1).int(), {"losses": losses_BS})

    def save_for_resume(self, resume: Path, step: int) -> None:
        """Keep a distributed checkpoint after `step` steps, whole or not at all, and drop all but the last two."""
        target = step_directory(resume, step)
        aside = self._saved_aside(target)
        if self.ranks.leads:
            mine = {"job": self.job.identity, "distributed_optimizer": self.built.distributed}
            seal(aside, {**self._facts(step), **mine})
            put_in_place(aside, target)
            drop_old(resume, step)
        self.ranks.barrier()

    def save_for_stage(self, directory: Path, step: int) -> None:
        """Write weights and moments after `step`, for a stage that does not start from this one's end."""
        found = self._portable(directory.with_name("portable"))
        if self.ranks.leads:
            weights, moments = found
            aside = begin_aside(directory)
            named = {f"model.{name}": tensor for name, tensor in weights.items()}
            write_sealed(aside, named | moments, self._facts(step))
            put_in_place(aside, directory)
        self.ranks.barrier()

    def write_outputs(self, request: Request) -> None:
        """Write what the stage leaves behind, by rank 0."""
        weights, moments = self._portable(request.resume / "portable")
        if self.ranks.leads:
            checkpoint = request.out / "checkpoint"
            save_hf_weights(weights, self.job.model, checkpoint, request.tokenizer, request.bos_eos)
            write_sealed(request.out / "state", moments, self._facts(self.job.steps))
            copy_records(self.job, request.resume, request.out)
        self.ranks.barrier()

    def _saved_aside(self, target: Path) -> Path:
        """A distributed checkpoint beside `target`, written by all ranks."""
        aside = target.with_name("aside")
        if self.ranks.leads:
            begin_aside(target)
        self.ranks.barrier()
        with self.ranks.computing():
            _state().save(self.built, aside)
        self.ranks.barrier()
        return aside

    def _portable(self, target: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """On rank 0 all weights and all moments by Hugging Face name, by way of a checkpoint; nothing elsewhere."""
        aside = self._saved_aside(target)
        if not self.ranks.leads:
            return {}, {}
        read = _state().whole
        weights = read(aside, self.job.model, "weight")
        moments = {
            f"{kind}.{name}": tensor
            for kind in handover.MOMENTS
            for name, tensor in read(aside, self.job.model, kind).items()
        }
        shutil.rmtree(aside)
        return weights, moments

    def _facts(self, step: int) -> dict[str, Any]:
        return handover.facts(self.job, step, _state().optimizer_steps(self.built))


def micro_batches(batch: Batch, size: int) -> Iterator[dict[str, Tensor]]:
    """A batch in Megatron's terms, `size` sequences at a time; all are of the batch's full length.

    `members` is bool [data sets, sequences]: whether a sequence is of a data set.
    """
    positions = torch.arange(batch.ids.shape[1]).expand(size, -1)
    members = torch.from_numpy(batch.sources == np.arange(len(batch.names))[:, None])
    for start in range(0, len(batch.ids), size):
        labels = batch.labels[start : start + size]
        counted = labels != IGNORE
        yield {
            "tokens": torch.from_numpy(batch.ids[start : start + size]),
            "labels": torch.from_numpy(np.where(counted, labels, 0)),
            "loss_mask": torch.from_numpy(counted).float(),
            "position_ids": positions,
            "members": members[:, start : start + size],
        }


def on_this_rank(batch: dict[str, Tensor], job: TrainJob, device: Device) -> dict[str, Tensor]:
    """A micro batch on the device; of each sequence this rank's part, where the job splits sequences."""
    from megatron.core.utils import get_batch_on_this_cp_rank

    moved = {name: tensor.to(device.torch) for name, tensor in batch.items()}
    if job.parallelism.context == 1:
        return moved
    members = moved.pop("members")  # the one tensor that has no positions
    return {**get_batch_on_this_cp_rank(moved), "members": members}


def masked_loss(batch: dict[str, Tensor], losses_BS: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """The loss's sum, its predicted tokens, and its sums by data set (float64), as Megatron takes them."""
    masked_BS = losses_BS.float() * batch["loss_mask"]
    of_rows = masked_BS.detach().sum(1, dtype=torch.float64)
    sums = torch.where(batch["members"], of_rows, 0.0).sum(1)  # one set's loss that is no number leaves the others be
    return masked_BS.sum(), batch["loss_mask"].sum().to(torch.int), {"sums": sums}


def _state() -> Any:
    """`megatron.state`, which imports Megatron: after `prepare`."""
    from runtime.training.megatron import state

    return state
