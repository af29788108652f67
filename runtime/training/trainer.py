"""A model in training: gradients, updates, and all that a later attempt or stage needs to go on from here.

Not the run (files, logs and outputs are `torch_backend`'s) and not a policy: the job says everything. With several
ranks each computes the gradient of its part of the batch; what it holds of the model is `sharding`'s affair. A step
draws no random numbers, so that ranks have none to keep apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from compiler.errors import UserError
from compiler.trainjob import AdamW, TrainJob
from runtime.full_disk import as_one_message
from runtime.training.compilation import Compilation
from runtime.training.data import IGNORE, Batch
from runtime.training.device import Device
from runtime.training.handover import MOMENTS, Start, facts, start_of
from runtime.training.loop import Judge, Step
from runtime.training.model import DecoderLayer, LlamaForCausalLM
from runtime.training.ranks import Ranks
from runtime.training.score import Ints, LogProbs, label_log_probs
from runtime.training.sealed import before, latest, write_latest, write_whole
from runtime.training.sharding import Sharding, clip_gradients, laid_out_as, whole


@attrs.define(eq=False)
class Trainer:
    """A model and its optimizer: the `Engine` of the torch back end.

    `parameters` are the model's by name, as this rank holds them: where they are split, the model's own attributes are
    whole tensors while it computes.
    """

    job: TrainJob
    device: Device
    model: LlamaForCausalLM
    optimizer: torch.optim.AdamW
    ranks: Ranks = attrs.field(factory=Ranks.one)
    sharding: Sharding = attrs.field(factory=Sharding)
    parameters: dict[str, Parameter] = attrs.field(init=False)

    @parameters.default
    def _own(self) -> dict[str, Parameter]:
        return dict(self.model.named_parameters())

    @classmethod
    def start(
        cls, job: TrainJob, device: Device, init: Path | None, ranks: Ranks | None = None, *, compilation: Compilation
    ) -> Trainer:
        """At step 0, from nothing or from what the job takes of the stage in `init`, which rank 0 reads.

        All ranks call it in their `group`, and `restore` after it.
        """
        ranks = ranks or Ranks.one()
        torch.manual_seed(job.seed)
        model, sharding = LlamaForCausalLM(job.model), Sharding.of(job.parallelism, ranks)
        for layer in model.model.layers:
            assert isinstance(layer, DecoderLayer)
            layer.recompute = job.recompute
        compilation.apply(model)
        sharding.apply(model, ranks, device.torch)
        model.to(device.torch)
        optimizer = make_optimizer(model, job.optimizer, fused=compilation.fused_optimizer)
        trainer = cls(job, device, model, optimizer, ranks, sharding)
        sizes = {name: tuple(parameter.shape) for name, parameter in trainer.parameters.items()}
        trainer._take(start_of(job, init, sizes) if ranks.leads else None)
        return trainer

    def update(self, batch: Batch, rate: float, judge: Judge) -> Step:
        """One optimizer step: the gradient over all ranks, the judgement, and if that allows it the update."""
        own, norm = self._gradients(batch)
        sums = self.ranks.add(own).tolist()
        verdict = judge(sum(sums) / batch.loss_tokens, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if not verdict.skip:
            self.optimizer.step()
        self.optimizer.zero_grad()
        return Step.of(batch, sums, norm, verdict)

    def _gradients(self, batch: Batch) -> tuple[Tensor, float]:
        """Put the clipped gradient of the batch in place; this rank's sums of losses, and the norm before clipping."""
        part, micro_batch = batch.part(self.ranks.here.rank, self.ranks.here.size), self.job.micro_batch
        with self.ranks.computing():
            sums = accumulate_gradients(self.model, part, micro_batch, self.device, batch.loss_tokens, self.sharding)
        if not self.sharding.splits:
            self.ranks.add_gradients(self.parameters.values())
        with self.ranks.computing():
            return sums, clip_gradients(list(self.parameters.values()), self.job.optimizer.clip_norm)

    def score(self, ids: Ints, labels: Ints) -> LogProbs:
        """The log-probability of each label under the model as it is now, in fp32 whatever it trains in."""
        with self.ranks.computing():
            scores = label_log_probs(self.model, ids, labels, self.device.torch)
        self.sharding.put_back(self.model)
        return scores

    def save_for_resume(self, resume: Path, step: int) -> None:
        """Keep all that the steps after `step` depend on, whole or not at all."""
        tensors = {**self._named_weights(), **self.moments()}
        if not self.ranks.leads:
            return
        tensors["rng.cpu"] = torch.get_rng_state()
        if self.device.torch.type == "cuda":
            tensors["rng.cuda"] = torch.cuda.get_rng_state()
        with _room_for(tensors, step, f"free space at {resume}, and run again: the stage goes on {before(resume)}"):
            write_latest(resume, step, tensors, {**self.facts(step), "job": self.job.identity})

    def save_for_stage(self, directory: Path, step: int) -> None:
        """Write weights and moments after `step`, for a stage that does not start from this one's end."""
        tensors = {**self._named_weights(), **self.moments()}
        if self.ranks.leads:
            with _room_for(tensors, step, f"free space at {directory.parent}, and run again"):
                write_whole(directory, tensors, self.facts(step))

    def restore(self, resume: Path) -> int:
        """Take up the newest whole state under `resume`; the steps behind it, 0 where there is none.

        Rank 0 reads it and gives the others what it has then, so that they need not see the same files.
        """
        found = latest(resume) if self.ranks.leads else None
        if found is not None and found[1]["job"] != self.job.identity:
            raise UserError(
                f"the state at step {found[1]['step']} is of another job", where=str(resume), fix="empty it"
            )
        step = self.ranks.agree(int(found[1]["step"]) if found else 0)
        if step:
            self._take(Start(_reader(found[0]), found[1]["optimizer_steps"]) if found else None)
        if found is not None:
            self._take_random_state(found[0])
        return step

    def _take_random_state(self, tensors: dict[str, Tensor]) -> None:
        torch.set_rng_state(tensors["rng.cpu"])
        if "rng.cuda" in tensors and self.device.torch.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng.cuda"])

    def _take(self, start: Start | None) -> None:
        """Give every rank what it holds of the weights and moments that rank 0 reads, a tensor at a time."""
        steps = self.ranks.agree(start.optimizer_steps if start else 0)
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(self._given(start, "weight", name))
        state = {
            number: {
                "step": torch.tensor(float(steps)),
                **{moment: self._given(start, moment, name) for moment in MOMENTS},
            }
            for number, name in enumerate(self._in_order_of_groups() if steps else ())
        }
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})

    def _given(self, start: Start | None, kind: str, name: str) -> Tensor:
        """What this rank holds of a tensor that rank 0 has in `start`."""
        held = self.parameters[name]
        if start is None:
            tensor = torch.empty(held.shape, dtype=held.dtype, device=self.device.torch)
        else:
            tensor = start.tensor(kind, name).to(self.device.torch)
        self.ranks.share([tensor])
        return laid_out_as(held, tensor)

    def _in_order_of_groups(self) -> list[str]:
        names = {id(parameter): name for name, parameter in self.parameters.items()}
        return [names[id(p)] for group in self.optimizer.param_groups for p in group["params"]]

    def weights(self) -> dict[str, Tensor]:
        """The weights by name, whole. All ranks call this; but for rank 0 they get nothing where they hold parts."""
        return self._gather((name, parameter) for name, parameter in self.parameters.items())

    def moments(self) -> dict[str, Tensor]:
        """AdamW's two moments of each parameter, by name, whole as `weights` are; zeros before its first update."""
        state = self.optimizer.state
        return self._gather(
            (f"{moment}.{name}", state.get(parameter, {}).get(moment, torch.zeros_like(parameter)))
            for name, parameter in self.parameters.items()
            for moment in MOMENTS
        )

    def _named_weights(self) -> dict[str, Tensor]:
        return {f"model.{name}": weight for name, weight in self.weights().items()}

    def _gather(self, held: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
        """Whole tensors, one after the other, so that the others need memory for one."""
        gathered = {}
        for name, tensor in held:
            with self.ranks.computing():
                full = whole(tensor.detach())
            if self.ranks.leads:
                gathered[name] = full
        return gathered

    def facts(self, step: int) -> dict[str, Any]:
        """What goes with the tensors; `optimizer_steps` counts over all stages that shared the moments."""
        return facts(self.job, step, self._optimizer_steps())

    def _optimizer_steps(self) -> int:
        return int(next(iter(self.optimizer.state.values()))["step"]) if self.optimizer.state else 0


def _room_for(tensors: dict[str, Tensor], step: int, fix: str) -> AbstractContextManager[None]:
    """Inside, a full disk is said in one message."""
    size = sum(tensor.nbytes for tensor in tensors.values()) / 1e6
    return as_one_message(f"the state at step {step}, {size:,.1f} MB", fix)


def _reader(tensors: dict[str, Tensor]) -> Callable[[str, str], Tensor]:
    """A state as it lies under `resume`, for `Start`."""
    return lambda kind, name: tensors[f"{'model' if kind == 'weight' else kind}.{name}"]


def make_optimizer(model: LlamaForCausalLM, settings: AdamW, *, fused: bool) -> torch.optim.AdamW:
    """AdamW (arXiv 1711.05101); decay on matrices, none on norms. The learning rate is set at each step."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    betas = (settings.beta1, settings.beta2)
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=settings.eps, fused=fused)


def accumulate_gradients(
    model: LlamaForCausalLM,
    batch: Batch,
    micro_batch: int,
    device: Device,
    counted: int | None = None,
    sharding: Sharding | None = None,
) -> Tensor:
    """Add the gradient of the batch's mean loss, `micro_batch` sequences at a time; returns sums of losses.

    Each part's sum is divided by the predicted tokens of the whole batch, so that the split changes rounding
    only, also where parts have unequal numbers of answer tokens. Where this is a rank's part of a batch, `counted`
    are the whole one's, and the results add up over the ranks. The sums are float64 [data sets], in nats.
    """
    counted, sharding = batch.loss_tokens if counted is None else counted, sharding or Sharding()
    sums = torch.zeros(len(batch.names), dtype=torch.float64, device=device.torch)
    parts = list(_micro_batches(batch, micro_batch, every=sharding.splits))
    for number, (ids, labels, members) in enumerate(parts, 1):
        sharding.before_backward(model, last=number == len(parts))
        with device.autocast():
            loss, losses_BS = model.loss(ids.to(device.torch), labels.to(device.torch), counted)
        torch.autograd.backward(loss)
        sums += torch.where(members.to(device.torch), losses_BS.sum(1, dtype=torch.float64), 0.0).sum(1)
    return sums


def _micro_batches(batch: Batch, size: int, *, every: bool) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Parts of the batch, without the columns at the end that no label of the part needs.

    A part without any label is left out, unless `every` one is needed: ranks that split the model go through it
    together. The third of each says whether a sequence is of a data set, [data sets, sequences].
    """
    members = torch.from_numpy(batch.sources == np.arange(len(batch.names))[:, None])
    for start in range(0, len(batch.ids), size):
        ids, labels = batch.ids[start : start + size], batch.labels[start : start + size]
        needed = (labels != IGNORE).any(0).nonzero()[0]
        if needed.size or every:
            width = needed[-1] + 1 if needed.size else 1
            part = torch.from_numpy(ids[:, :width]), torch.from_numpy(labels[:, :width])
            yield *part, members[:, start : start + size]
