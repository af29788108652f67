"""One fit of NeMo's trainer, with our hooks in it: a step is judged before its update, recorded and saved after it.

Not the stage around it (`backend`) and not a loop: Lightning calls what is here.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.plugins.environments import TorchElasticEnvironment
from megatron.core.distributed import DistributedDataParallelConfig
from megatron.core.optimizer import OptimizerConfig
from nemo import lightning as nl
from nemo.lightning._strategy_lib import init_model_parallel
from torch import Tensor

from compiler.emit import megatron as emitted
from compiler.trainjob import TrainJob
from runtime import interruption
from runtime.training.data import Batches
from runtime.training.device import Device
from runtime.training.kernels import KernelChoice
from runtime.training.loop import Recorder, is_due
from runtime.training.megatron.build import Built, begin_optimizer
from runtime.training.megatron.engine import MegatronEngine
from runtime.training.nemo.data import BlendDataModule
from runtime.training.nemo.model import JobModel, SummedLoss, llama_config
from runtime.training.nemo.schedule import JobSchedule
from runtime.training.request import Request
from runtime.training.schedule import learning_rate
from runtime.training.score import Ints, LogProbs


class Run(Callback):
    """Trains the steps from `first` on; `engine` is there once the trainer has built the model."""

    engine: MegatronEngine

    def __init__(
        self,
        request: Request,
        job: TrainJob,
        batches: Batches,
        device: Device,
        kernels: KernelChoice,
        recorder: Recorder,
        first: int,
    ) -> None:
        self._request, self._ranks = request, request.ranks
        self._job, self._batches, self._device, self._kernels = job, batches, device, kernels
        self._recorder = recorder
        self._done = self._first = first
        self._sums: list[Tensor] = []
        self._interrupted = False

    def __deepcopy__(self, memo: dict[int, Any]) -> Run:
        """Itself: NeMo copies all that a trainer is made of, to describe it in checkpoints that are not written."""
        return self

    def fit(self) -> None:
        """Train to the end; Interrupted where a stop was asked for, with the state of that step saved."""
        model = JobModel(llama_config(self._job, self._kernels, self._device), SummedLoss(self._take))
        optimizer = nl.MegatronOptimizerModule(
            config=OptimizerConfig(**emitted.optimizer_config(self._job), params_dtype=model.config.params_dtype),
            lr_scheduler=JobSchedule(self._job, self._first),
        )
        optimizer.connect(model)
        trainer(self._job, self._device, self._first, self).fit(
            model, datamodule=BlendDataModule(self._job, self._batches, self._first)
        )
        if self._interrupted:
            raise interruption.Interrupted(self._done)

    def score(self, ids: Ints, labels: Ints) -> LogProbs:
        """The log-probability of each label under the model as it is now."""
        return self.engine.score(ids, labels)

    def _take(self, sums: list[Tensor]) -> None:
        self._sums = sums

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """The model, the optimizer and the groups are there: give them what the stage starts from."""
        (optimizer,) = (each.mcore_optimizer for each in trainer.strategy.optimizers)
        begin_optimizer(optimizer)
        (chunk,) = trainer.strategy.megatron_parallel
        distributed = self._job.parallelism.distributed_optimizer
        built = Built(pl_module.config, chunk, optimizer, distributed)
        self.engine = MegatronEngine(self._job, built, self._device, self._ranks)
        self.engine.start(self._request.init, self._request.resume, self._first)
        self._recorder.validate(self._first)
        optimizer.step = self._optimizer_step

    def _optimizer_step(self) -> tuple[bool, float, None]:
        """In place of Megatron's own, which judges nothing: success, the gradient's norm, and no count of zeros."""
        rate = learning_rate(self._job.schedule, self._done)
        given = {group["lr"] for group in self.engine.built.optimizer.param_groups}
        assert given == {rate}, f"step {self._done + 1}: NeMo's scheduler is at {given}, the job at {rate}"
        batch = self._batches[self._done]
        sums = self.engine.gathered(self._sums, len(batch.names))
        judge = self._recorder.judge_of(self._done, rate, self._ranks)
        taken = self.engine.conclude(batch, sums, rate, judge)
        self._recorder.keep(self._done, taken, rate)
        return not taken.verdict.skip, taken.norm, None

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """After an update: save what is due, tell how far the stage is, and end where that was asked for."""
        self._done += 1
        done, job, recorder = self._done, self._job, self._recorder
        stopping = self._ranks.any(self._request.stop())
        if done == job.save_at:
            self.engine.save_for_stage(recorder.resume / "saved", done)
        if stopping or is_due(job, done):
            recorder.sync()
            self.engine.save_for_resume(recorder.resume, done)
        recorder.report(done)
        if stopping:
            self._ranks.barrier()
            self._interrupted = trainer.should_stop = True
        else:
            recorder.validate(done)


class JobStrategy(nl.MegatronStrategy):
    """NeMo's strategy in a process group that is there already, which NeMo takes for one that is set up."""

    def setup_distributed(self) -> None:
        """Megatron's groups in it."""
        super().setup_distributed()
        init_model_parallel(self.model)


def trainer(job: TrainJob, device: Device, first: int, callback: Callback) -> Any:
    """NeMo's trainer for the steps from `first` on, without logs or checkpoints of its own."""
    split = job.parallelism
    dtype = torch.bfloat16 if job.precision == "bf16" else torch.float32
    bf16 = [nl.MegatronMixedPrecision(precision="bf16-mixed", params_dtype=dtype)] if dtype == torch.bfloat16 else []
    strategy = JobStrategy(
        tensor_model_parallel_size=split.tensor,
        pipeline_model_parallel_size=split.pipeline,
        context_parallel_size=split.context,
        sequence_parallel=split.sequence_parallel,
        pipeline_dtype=dtype,
        ddp=DistributedDataParallelConfig(**emitted.ddp_config(job)),
        ckpt_async_save=False,
        replace_progress_bar=False,
        cluster_environment=TorchElasticEnvironment(),
        process_group_backend=None if device.torch.type == "cuda" else "gloo",
    )
    made = nl.Trainer(
        accelerator="gpu" if device.torch.type == "cuda" else "cpu",
        devices=split.devices // split.nodes,
        num_nodes=split.nodes,
        strategy=strategy,
        plugins=bf16,
        max_steps=job.steps - first,
        max_epochs=1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        callbacks=[callback],
    )
    # Lightning would end the process on SIGTERM, without the state that a request to stop asks for.
    made._signal_connector.register_signal_handlers = lambda: None
    return made
