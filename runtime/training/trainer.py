"""A model in training: gradients, updates, and all that a later attempt or stage needs to go on from here.

Not the run (files, logs and outputs are `torch_backend`'s) and not a policy: the job says everything. With several
ranks each has the whole model and computes the gradient of its part of the batch; the sum and the update are the same
on all. A step draws no random numbers, so that ranks have none to keep apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from compiler.errors import UserError
from compiler.trainjob import AdamW, TrainJob
from runtime.training.checkpoint import load_hf_weights, load_weights
from runtime.training.data import IGNORE, Batch
from runtime.training.device import Device
from runtime.training.loop import Judge, Step
from runtime.training.model import LlamaForCausalLM, build_model
from runtime.training.ranks import Ranks
from runtime.training.schedule import learning_rate
from runtime.training.score import Ints, LogProbs, label_log_probs
from runtime.training.sealed import latest, read_sealed, step_directory, write_latest, write_whole

_MOMENTS = ("exp_avg", "exp_avg_sq")


@attrs.define(eq=False)
class Trainer:
    """A model and its optimizer: the `Engine` of the torch back end."""

    job: TrainJob
    device: Device
    model: LlamaForCausalLM
    optimizer: torch.optim.AdamW
    ranks: Ranks = attrs.field(factory=Ranks.one)

    @classmethod
    def start(cls, job: TrainJob, device: Device, init: Path | None, ranks: Ranks | None = None) -> Trainer:
        """At step 0, from nothing or from what the job takes of the stage in `init`, which rank 0 reads.

        With several ranks, call it in their `group`, and `restore` after it: that gives all of them rank 0's state.
        """
        ranks = ranks or Ranks.one()
        torch.manual_seed(job.seed)
        model = build_model(job.model, job.seed).to(device.torch)
        optimizer = make_optimizer(model, job.optimizer, fused=job.kernels != "portable")
        trainer = cls(job, device, model, optimizer, ranks)
        if init is not None and ranks.leads:
            trainer._follow(init)
        return trainer

    def update(self, batch: Batch, rate: float, judge: Judge) -> Step:
        """One optimizer step: the gradient over all ranks, the judgement, and if that allows it the update."""
        part, sources = batch.part(self.ranks.here.rank, self.ranks.here.size), batch.tokens_by_source()
        sums = accumulate_gradients(self.model, part, self.job.micro_batch, self.device, batch.loss_tokens)
        self.ranks.add_gradients(self.model.parameters())
        by_source = dict(zip(batch.names, self.ranks.add(sums).tolist(), strict=True))
        loss = sum(by_source.values()) / batch.loss_tokens
        limit = self.job.optimizer.clip_norm if self.job.optimizer.clip_norm > 0 else math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit))
        verdict = judge(loss, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if not verdict.skip:
            self.optimizer.step()
        self.optimizer.zero_grad()
        means = {name: (by_source[name] / count, count) for name, count in sources.items()}
        return Step(loss=loss, norm=norm, verdict=verdict, sources=means)

    def score(self, ids: Ints, labels: Ints) -> LogProbs:
        """The log-probability of each label under the model as it is now, in fp32 whatever it trains in."""
        return label_log_probs(self.model, ids, labels, self.device.torch)

    def save_for_resume(self, resume: Path, step: int) -> None:
        """Keep all that the steps after `step` depend on, whole or not at all."""
        if not self.ranks.leads:
            return
        tensors = {**self._weights(), **self.moments(), "rng.cpu": torch.get_rng_state()}
        if self.device.torch.type == "cuda":
            tensors["rng.cuda"] = torch.cuda.get_rng_state()
        write_latest(resume, step, tensors, {**self.facts(step), "job": self.job.identity})

    def save_for_stage(self, directory: Path, step: int) -> None:
        """Write weights and moments after `step`, for a stage that does not start from this one's end."""
        if not self.ranks.leads:
            return
        write_whole(directory, {**self._weights(), **self.moments()}, self.facts(step))

    def restore(self, resume: Path) -> int:
        """Take up the newest whole state under `resume`; the steps behind it, 0 where there is none.

        Rank 0 reads it and gives the others what it has then, so that they need not see the same files.
        """
        step = self._take_up(resume) if self.ranks.leads else 0
        if self.ranks.here.size > 1:
            self._share()
        return self.ranks.agree(step)

    def _take_up(self, resume: Path) -> int:
        found = latest(resume)
        if found is None:
            return 0
        tensors, facts = found
        if facts["job"] != self.job.identity:
            raise UserError(f"the state at step {facts['step']} is of another job", where=str(resume), fix="empty it")
        self._load(tensors, facts, resume)
        torch.set_rng_state(tensors["rng.cpu"])
        if "rng.cuda" in tensors and self.device.torch.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng.cuda"])
        return int(facts["step"])

    def _share(self) -> None:
        """Give every rank the weights of rank 0 and, if it has any, its moments."""
        seen = self.ranks.agree(self._optimizer_steps())
        if seen and not self.ranks.leads:
            parameters = dict(self.model.named_parameters())
            room = {f"{m}.{name}": torch.zeros_like(p) for name, p in parameters.items() for m in _MOMENTS}
            self._load_moments(room, seen)
        self.ranks.share(self._weights().values())
        if seen:
            self.ranks.share(self.moments().values())

    def moments(self) -> dict[str, Tensor]:
        """AdamW's two moments of each parameter, by name; zeros before its first update."""
        return {
            f"{moment}.{name}": self.optimizer.state.get(parameter, {}).get(moment, torch.zeros_like(parameter))
            for name, parameter in self.model.named_parameters()
            for moment in _MOMENTS
        }

    def facts(self, step: int) -> dict[str, Any]:
        """What goes with the tensors; `optimizer_steps` counts over all stages that shared the moments."""
        return {
            "step": step,
            "optimizer_steps": self._optimizer_steps(),
            "learning_rate": learning_rate(self.job.schedule, step - 1),
        }

    def _optimizer_steps(self) -> int:
        return int(next(iter(self.optimizer.state.values()))["step"]) if self.optimizer.state else 0

    def _weights(self) -> dict[str, Tensor]:
        return {f"model.{name}": weight for name, weight in self.model.named_parameters()}

    def _follow(self, init: Path) -> None:
        """Take the weights of an earlier stage and, where the job continues it, its moments."""
        step = self.job.start_step
        directory = init / "state" if step is None else step_directory(init / "state", step)
        if step is None:
            load_hf_weights(self.model, init / "checkpoint")
        if step is None and self.job.start_from == "weights":
            return
        tensors, facts = read_sealed(directory)
        if step is not None:
            self._load_weights(tensors, directory)
        if self.job.start_from == "state":
            _check_continuity(self.job, facts["learning_rate"], directory)
            self._load_moments(tensors, facts["optimizer_steps"])

    def _load(self, tensors: dict[str, Tensor], facts: dict[str, Any], where: Path) -> None:
        self._load_weights(tensors, where)
        self._load_moments(tensors, facts["optimizer_steps"])

    def _load_weights(self, tensors: dict[str, Tensor], where: Path) -> None:
        weights = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
        load_weights(self.model, weights, str(where))

    def _load_moments(self, tensors: dict[str, Tensor], steps: int) -> None:
        """Give each parameter its moments, through torch, which puts them on the right device."""
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        ordered = [names[id(p)] for group in self.optimizer.param_groups for p in group["params"]]
        state = {
            number: {
                "step": torch.tensor(float(steps)),
                **{moment: tensors[f"{moment}.{name}"] for moment in _MOMENTS},
            }
            for number, name in enumerate(ordered)
        }
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


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
    model: LlamaForCausalLM, batch: Batch, micro_batch: int, device: Device, counted: int | None = None
) -> Tensor:
    """Add the gradient of the batch's mean loss, `micro_batch` sequences at a time; returns sums of losses.

    Each part's sum is divided by the predicted tokens of the whole batch, so that the split changes rounding
    only, also where parts have unequal numbers of answer tokens. Where this is a rank's part of a batch, `counted`
    are the whole one's, and the results add up over the ranks. The sums are float64 [data sets], in nats.
    """
    counted = batch.loss_tokens if counted is None else counted
    sums = torch.zeros(len(batch.names), dtype=torch.float64, device=device.torch)
    for ids, labels, members in _micro_batches(batch, micro_batch):
        with device.autocast():
            logits_BSV = model(ids.to(device.torch))
        losses_BS = functional.cross_entropy(
            logits_BSV.float().flatten(0, 1),
            labels.to(device.torch).flatten(),
            ignore_index=IGNORE,
            reduction="none",
        ).view(labels.shape)
        torch.autograd.backward(losses_BS.sum() / counted)
        sums += members.to(device.torch) @ losses_BS.detach().sum(1, dtype=torch.float64)
    return sums


def _micro_batches(batch: Batch, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Parts of the batch, without the columns at the end that no label of the part needs.

    The third of each is float64 [data sets, sequences], 1 where a sequence is of a data set.
    """
    members = torch.from_numpy(batch.sources == np.arange(len(batch.names))[:, None]).double()
    for start in range(0, len(batch.ids), size):
        ids, labels = batch.ids[start : start + size], batch.labels[start : start + size]
        needed = (labels != IGNORE).any(0).nonzero()[0]
        if needed.size:
            width = needed[-1] + 1
            part = torch.from_numpy(ids[:, :width]), torch.from_numpy(labels[:, :width])
            yield *part, members[:, start : start + size]


def _check_continuity(job: TrainJob, last_rate: float, where: Path) -> None:
    """Raise UserError where a stage that continues another does not start at its last learning rate."""
    start = job.schedule[0].start
    if not math.isclose(start, last_rate, rel_tol=1e-9):
        raise UserError(
            f"stage {job.stage} starts its schedule at {start!r}, the stage before ended at {last_rate!r}",
            where=str(where),
            fix="start where the stage before ended, or take its weights only",
        )
