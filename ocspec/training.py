"""Training stages, learning-rate schedules, optimizer, precision and parallelism.

A stage says what is learnt from what and for how long, in optimizer steps; the tokens follow from the steps.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from ocspec.base import DOC, EXECUTION, Bytes, Sequences, Spec, Steps, Tokens
from ocspec.mixture import Mixture
from ocspec.sources import Name


class _Train(Spec):
    abstract: ClassVar[bool] = True
    change_class = "train"


class Batches(_Train):
    """`steps` optimizer steps of `global_batch` sequences of `sequence_length` tokens."""

    steps: Steps = Field(gt=0, description="Optimizer steps.")
    global_batch: Sequences = Field(gt=0, description="Sequences in one step, over all devices.")
    sequence_length: Tokens = Field(gt=0, description="Tokens in a sequence.")

    @property
    def tokens(self) -> int:
        """Tokens trained on.

        >>> Batches(steps=484_865, global_batch=1024, sequence_length=4096).tokens
        2033671208960
        """
        return self.steps * self.global_batch * self.sequence_length


class AdamW(_Train):
    """AdamW; weight decay on matrices only. The paper gives no values: these are the field's usual ones."""

    beta1: float = Field(default=0.9, ge=0, lt=1, description="Decay of the first moment.")
    beta2: float = Field(default=0.95, ge=0, lt=1, description="Decay of the second moment.")
    eps: float = Field(default=1e-8, gt=0, description="Added to the root of the second moment.")
    weight_decay: float = Field(default=0.1, ge=0, description="Decoupled, times the learning rate.")
    clip_norm: float = Field(default=1.0, gt=0, description="Greatest norm of the whole gradient.")


class Parallelism(_Train):
    """Devices along each axis. `data` times the others is the number of devices."""

    tensor: Annotated[int, EXECUTION] = Field(default=1, ge=1, description="Devices that split each matrix.")
    pipeline: Annotated[int, EXECUTION] = Field(default=1, ge=1, description="Devices that split the layers.")
    context: Annotated[int, EXECUTION] = Field(default=1, ge=1, description="Devices that split a sequence.")
    data: Annotated[int, EXECUTION] = Field(default=1, ge=1, description="Replicas that split the batch.")
    sequence_parallel: Annotated[bool, EXECUTION] = Field(
        default=False, description="Split norms and dropout along the sequence over the tensor devices."
    )
    distributed_optimizer: Annotated[bool, EXECUTION] = Field(
        default=False, description="Split the optimizer's state over the replicas."
    )
    fully_sharded: Annotated[bool, EXECUTION] = Field(
        default=False, description="Split weights and gradients over the replicas, too (torch only: FSDP2)."
    )

    @property
    def devices(self) -> int:
        """Devices in all.

        >>> Parallelism(tensor=2, data=256).devices
        512
        """
        return self.tensor * self.pipeline * self.context * self.data


class Guard(_Train):
    """What becomes of a step whose loss or gradient is not finite, or whose loss jumps.

    A jump is a loss above `spike_ratio` times the median of the last `window` steps. A skipped step reads its batch and
    changes no weight.
    """

    not_finite: Literal["stop", "skip"] = Field(
        default="stop", description="Of a loss or gradient norm: NaN, infinity."
    )
    spike: Literal["note", "skip", "stop"] = Field(default="note", description="Of a loss that jumps.")
    spike_ratio: float = Field(default=1.5, gt=1, description="Times the median loss.")
    window: Steps = Field(default=50, ge=2, description="Steps of the median; the first ones of a stage never jump.")
    max_skips: Steps = Field(default=10, ge=0, description="More skipped steps than this end the stage.")


class WSD(_Train):
    """Linear warm-up from 0 to `peak` over `warmup_steps`, then constant. The decay is annealing's."""

    peak: float = Field(gt=0, description="Highest learning rate.")
    warmup_steps: Steps = Field(ge=0, description="Steps of linear warm-up.")


class Cosine(_Train):
    """Linear warm-up to `peak`, then a half cosine down to `end` at the last step."""

    peak: float = Field(gt=0, description="Highest learning rate.")
    warmup_steps: Steps = Field(ge=0, description="Steps of linear warm-up.")
    end: float = Field(default=0.0, ge=0, description="Learning rate at the last step.")


class Decay(_Train):
    """From the learning rate at which the stage before ended down to `end`."""

    end: float = Field(gt=0, description="Learning rate at the last step.")
    shape: Literal["exponential", "linear", "cosine"] = Field(default="exponential", description="Way down to it.")


class Stage(_Train):
    """Base of the stages of a curriculum."""

    abstract: ClassVar[bool] = True

    name: Name = Field(description="What evaluations and reports call it.")
    optimizer: AdamW = Field(default=AdamW(), description="Its state is kept by annealing, fresh elsewhere.")
    micro_batch: Annotated[Sequences, EXECUTION] = Field(default=1, ge=1, description="Sequences per device and pass.")
    parallelism: Parallelism = Field(default=Parallelism(), description="How the stage is split over devices.")
    precision: Literal["auto", "fp32", "bf16"] = Field(default="auto", description="auto: what the device does well.")
    backend: Literal["torch", "nemo", "megatron"] = Field(default="torch", description="What trains it.")
    kernels: Annotated[Literal["auto", "fused", "portable"], EXECUTION] = Field(
        default="auto", description="auto: fused where the device has them."
    )
    recompute: Annotated[Literal["none", "selective", "full"], EXECUTION] = Field(
        default="none", description="Activations computed again in the backward pass, to save memory."
    )
    guard: Guard = Field(default=Guard(), description="Of losses that are not finite, or jump.")
    validate_every: Steps = Field(
        default=0, ge=0, description="Steps between two measurements of bits per byte on held-out text; 0: none."
    )
    validate_bytes: Bytes = Field(
        default=1_000_000, ge=0, description="Held-out text of each language to measure on, a seeded sample; 0: all."
    )
    checkpoint_every: Annotated[Steps, EXECUTION] = Field(
        default=0, ge=0, description="Steps between checkpoints; 0: at the end only."
    )
    seed: int = Field(default=0, description="Of the initial weights and the order of the data.")
    note: Annotated[str, DOC] = Field(default="", description="Free text; it changes nothing.")


class Pretrain(Stage):
    """Training from scratch on a mixture, in one or more phases of batches."""

    mixture: Mixture = Field(description="What is learnt from.")
    batches: tuple[Batches, ...] = Field(min_length=1, description="One phase after the other.")
    schedule: WSD | Cosine = Field(description="The learning rate over all phases.")

    @property
    def num_steps(self) -> int:
        """Optimizer steps of all phases."""
        return sum(batches.steps for batches in self.batches)

    @model_validator(mode="after")
    def _warmup(self) -> Pretrain:
        if self.schedule.warmup_steps >= self.num_steps:
            raise ValueError(
                f"a warm-up of {self.schedule.warmup_steps} steps leaves nothing of {self.num_steps} steps"
                "; fix: shorten the warm-up or lengthen the stage"
            )
        return self


class Anneal(Stage):
    """Training goes on from the state of a stage before, on another mixture, while the learning rate decays.

    `start_step` says at which step of the stage before to start, where that is not its last.
    """

    mixture: Mixture = Field(description="What is learnt from.")
    batches: tuple[Batches, ...] = Field(min_length=1, description="One phase after the other.")
    schedule: Decay = Field(description="From the learning rate of the stage before down.")
    start_step: Steps | None = Field(
        default=None, gt=0, description="Step of the stage before to start from; None: its last."
    )

    @property
    def num_steps(self) -> int:
        """Optimizer steps of all phases."""
        return sum(batches.steps for batches in self.batches)


class FineTune(Stage):
    """Instruction tuning: epochs over instruction pairs, the loss on the answer only."""

    instructions: tuple[Name, ...] = Field(min_length=1, description="Names of instruction sources.")
    samples: int | None = Field(default=None, gt=0, description="Samples in all; needed where steps is not given.")
    epochs: int = Field(ge=1, description="How often each sample is seen.")
    global_batch: Sequences = Field(gt=0, description="Samples in one step, over all devices.")
    max_length: Tokens = Field(gt=0, description="Longer samples are truncated.")
    schedule: Cosine = Field(description="The learning rate.")
    steps: Steps | None = Field(default=None, gt=0, description="None: epochs * samples // global_batch.")
    start_step: Steps | None = Field(
        default=None, gt=0, description="Step of the stage before to start from; None: its last."
    )

    @model_validator(mode="after")
    def _known(self) -> FineTune:
        if self.steps is None and self.samples is None:
            raise ValueError("neither steps nor samples is given; fix: give one, so that the plan knows its length")
        if self.num_steps <= self.schedule.warmup_steps:
            raise ValueError(
                f"a warm-up of {self.schedule.warmup_steps} steps leaves nothing of {self.num_steps} steps"
                "; fix: shorten the warm-up or lengthen the stage"
            )
        return self

    @property
    def num_steps(self) -> int:
        """Optimizer steps: whole batches in all epochs."""
        return self.steps if self.steps is not None else self.epochs * (self.samples or 0) // self.global_batch


class Curriculum(_Train):
    """Stages in order; each starts from the one before."""

    stages: tuple[Stage, ...] = Field(min_length=1, description="In order.")

    @field_validator("stages")
    @classmethod
    def _distinct(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        names = [stage.name for stage in stages]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}; fix: give each its own name")
        return stages
