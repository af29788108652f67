"""TrainJob: one training stage as pure data, the same for every back end.

Not a launcher and not a spec: the compiler lowers a stage to this, the emitters write it as JSON or as a NeMo
script, and `runtime.training` reads it. It holds no paths: data and checkpoints come as inputs of the task.
Imports nothing but attrs and the standard library, so that it loads inside a training container.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

import attrs

Precision = Literal["auto", "fp32", "bf16"]
Kernels = Literal["auto", "fused", "portable"]
Backend = Literal["torch", "nemo", "megatron"]
Recompute = Literal["none", "selective", "full"]
EXECUTION = {"role": "execution"}
DOC = {"role": "doc"}
DEVICES_PER_NODE = 8


@attrs.frozen(kw_only=True)
class ModelShape:
    """A Llama-style decoder: RMSNorm, SwiGLU, RoPE, grouped-query attention, no biases."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    max_positions: int
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5
    init_std: float = 0.02
    tied_embeddings: bool = False

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the input embedding and, where it is its own matrix, the output projection."""
        return self.vocab_size * self.hidden_size * (1 if self.tied_embeddings else 2)

    @property
    def layer_parameters(self) -> int:
        """Parameters of one decoder layer: attention, SwiGLU feed-forward and two norms."""
        query = self.hidden_size * self.num_heads * self.head_dim
        key_value = 2 * self.hidden_size * self.num_kv_heads * self.head_dim
        feed_forward = 3 * self.hidden_size * self.intermediate_size
        return 2 * query + key_value + feed_forward + 2 * self.hidden_size

    @property
    def parameters(self) -> int:
        """All parameters.

        >>> ModelShape(
        ...     vocab_size=96_640,
        ...     hidden_size=2240,
        ...     intermediate_size=6144,
        ...     num_layers=24,
        ...     num_heads=14,
        ...     num_kv_heads=14,
        ...     head_dim=160,
        ...     max_positions=4096,
        ... ).parameters
        1905650880
        """
        return self.embedding_parameters + self.num_layers * self.layer_parameters + self.hidden_size


@attrs.frozen(kw_only=True)
class SchedulePhase:
    """`steps` optimizer steps whose learning rate goes from `start` to `end` along `shape`.

    Step i of the phase (0-based) uses progress (i + 1) / steps: linear is `start + (end - start) * p`, exponential is
    `start * (end / start) ** p`, cosine is `end + (start - end) * (1 + cos(pi * p)) / 2`, constant is `start`.
    """

    shape: Literal["linear", "constant", "exponential", "cosine"]
    steps: int
    start: float
    end: float


@attrs.frozen(kw_only=True)
class BatchPhase:
    """`steps` optimizer steps of `global_batch` sequences of `sequence_length` tokens."""

    steps: int
    global_batch: int
    sequence_length: int

    @property
    def tokens(self) -> int:
        """Tokens that this phase trains on."""
        return self.steps * self.global_batch * self.sequence_length


@attrs.frozen(kw_only=True)
class AdamW:
    """AdamW; weight decay applies to matrices, not to norms."""

    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip_norm: float = 1.0


@attrs.frozen(kw_only=True)
class Guard:
    """What becomes of a step whose loss or gradient is not finite, or whose loss jumps.

    A jump is a loss of more than `spike_ratio` times the median of the last `window` steps; the first `window` steps of
    a stage have no such median and never jump. A skipped step reads its batch and changes no weight; more than
    `max_skips` of them in one stage end it.
    """

    not_finite: Literal["stop", "skip"] = "stop"
    spike: Literal["note", "skip", "stop"] = "note"
    spike_ratio: float = 1.5
    window: int = 50
    max_skips: int = 10


@attrs.frozen(kw_only=True)
class BlendPart:
    """A data set's part of a mixture by its exact share, written as a fraction ("2098/2500")."""

    dataset: str
    share: str


@attrs.frozen(kw_only=True)
class Parallelism:
    """How a job is split over devices; 1 everywhere on a laptop.

    `distributed_optimizer` splits the optimizer's state over `data`; `fully_sharded` splits weights and gradients, too.
    """

    tensor: int = 1
    pipeline: int = 1
    context: int = 1
    data: int = 1
    sequence_parallel: bool = False
    distributed_optimizer: bool = False
    fully_sharded: bool = False

    @property
    def devices(self) -> int:
        """Devices that the job takes."""
        return self.tensor * self.pipeline * self.context * self.data

    @property
    def nodes(self) -> int:
        """Fewest nodes, of at most DEVICES_PER_NODE devices each, that share the devices evenly.

        >>> Parallelism(tensor=2, data=256).nodes, Parallelism(data=9).nodes
        (64, 3)
        """
        fewest = -(-self.devices // DEVICES_PER_NODE)
        return next(nodes for nodes in range(fewest, self.devices + 1) if self.devices % nodes == 0)


@attrs.frozen(kw_only=True)
class TrainJob:
    """One stage of training.

    `start_from` says what the stage takes from the one before: nothing (`random`), its weights (`weights`: fine-tuning
    with a fresh optimizer), or weights, optimizer state and learning rate (`state`: annealing). `save_at` asks for the
    state as it is after that step, beside the final one; a following stage takes that one with `start_step`.
    `validate_every`: steps between two measurements on held-out text, 0: none. `blend` repeats for people and for other
    tools what the draw of the stage was made with; the sequences themselves come from the task's input of that name.
    `recompute` trades memory for time: activations of attention (`selective`) or of whole layers (`full`) are computed
    again in the backward pass. Fields marked `execution` say how to run; they do not enter a fingerprint.
    """

    stage: str = attrs.field(metadata={"role": "doc"})
    kind: Literal["pretrain", "anneal", "finetune"]
    model: ModelShape
    schedule: tuple[SchedulePhase, ...]
    batches: tuple[BatchPhase, ...]
    start_from: Literal["random", "weights", "state"] = "random"
    start_step: int | None = None
    save_at: int | None = None
    loss_on: Literal["all", "answer"] = "all"
    optimizer: AdamW = attrs.field(factory=AdamW)
    guard: Guard = attrs.field(factory=Guard)
    validate_every: int = 0
    seed: int = 0
    precision: Precision = "auto"
    backend: Backend = "torch"
    blend: tuple[BlendPart, ...] = attrs.field(default=(), metadata=DOC)
    micro_batch: int = attrs.field(default=1, metadata=EXECUTION)
    parallelism: Parallelism = attrs.field(factory=Parallelism, metadata=EXECUTION)
    kernels: Kernels = attrs.field(default="auto", metadata=EXECUTION)
    recompute: Recompute = attrs.field(default="none", metadata=EXECUTION)
    checkpoint_every: int = attrs.field(default=0, metadata=EXECUTION)

    @property
    def steps(self) -> int:
        """Optimizer steps of the stage."""
        return sum(batch.steps for batch in self.batches)

    @property
    def tokens(self) -> int:
        """Tokens of the stage, padding included: steps x global batch x sequence length, summed over phases."""
        return sum(batch.tokens for batch in self.batches)

    @property
    def identity(self) -> str:
        """A digest of what the job computes: two attempts share it, even where they run differently."""
        computed = attrs.asdict(self, filter=lambda field, _: field.metadata.get("role") is None)
        return hashlib.sha256(json.dumps(computed, sort_keys=True).encode()).hexdigest()

    def batch_phase(self, step: int) -> BatchPhase:
        """The phase of batches that step `step` (0-based) falls in; IndexError for one that the job does not have."""
        before = 0
        for phase in self.batches:
            before += phase.steps
            if 0 <= step < before:
                return phase
        raise IndexError(step)
