"""Memory of one training rank, term by term: weights, gradients, optimizer, activations, logits. Nothing is measured.

The formulae are Megatron's (Korthikanti et al. 2022, arXiv 2205.05198, section 4 and table 2; Megatron-LM computes the
same in megatron/training/theoretical_memory_usage.py), derived anew for what is trained here: no dropout, so that its
masks are gone; SwiGLU, whose three matrices keep three wide tensors; grouped queries, whose keys and values are
narrower; flash attention, which keeps no scores. With GELU's 4h in place of SwiGLU's 8h/3 and the two masks of a byte
the sum is the paper's 34 sbh.

What a rank needs beside them is not counted: CUDA's context, communication buffers, workspaces, fragmentation. So the
sum is a lower bound on a GPU. How large a CPU process is before a model is there is said in estimate.py.

Letters: b sequences of a micro batch, s tokens of a sequence on this rank, h hidden, f feed-forward, a heads and k
key-value heads of d, t tensor parallel, V vocabulary; sizes are in elements of the precision unless they say bytes.
"""

from __future__ import annotations

import attrs

from compiler.trainjob import BatchPhase, ModelShape, TrainJob

MB = 1_000_000
FP32 = 4


@attrs.frozen(kw_only=True)
class RankMemory:
    """Bytes of the fullest rank, by what holds them at the time when it holds the most."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits


def rank_memory(job: TrainJob, element: int = 2) -> RankMemory:
    """The rank and the phase of batches that hold the most, the rank of the first pipeline stage or the last.

    `element` is 4 for fp32, 2 for bf16.
    """
    stages = sorted({0, job.parallelism.pipeline - 1})
    found = (_stage_memory(job, batch, stage, element) for stage in stages for batch in job.batches)
    return max(found, key=lambda one: one.total)


def _stage_memory(job: TrainJob, batch: BatchPhase, stage: int, element: int) -> RankMemory:
    held = parameters_of(job, stage)
    weights, gradients, optimizer = _bytes_a_parameter(job, element)
    last = stage == job.parallelism.pipeline - 1
    activations = _activations(job, batch, stage, element) * batch.sequence_length
    return RankMemory(
        weights=round(held * weights) + _copied(job, element) + _gathered(job, element),
        gradients=_gradients(job, batch, round(held * gradients), activations),
        optimizer=round(held * optimizer),
        activations=activations,
        logits=_logits(job, element) * batch.sequence_length if last else 0,
    )


def _gradients(job: TrainJob, batch: BatchPhase, made: int, activations: int) -> int:
    """Bytes of gradients beside the activations.

    Megatron keeps a buffer for all of them. The torch back end drops them after each step, so that with one micro batch
    a step they are made while the activations go: there is at least the more of the two, and how much of both is not
    counted.
    """
    if job.backend == "torch" and _micro_batches(job, batch) == 1:
        return max(0, made - activations)
    return made


def _micro_batches(job: TrainJob, batch: BatchPhase) -> int:
    """Of one rank in one step."""
    return max(1, batch.global_batch // (job.micro_batch * job.parallelism.data))


# ---------------------------------------------------------------- what the weights bring with them


def parameters_of(job: TrainJob, stage: int) -> int:
    """Parameters of a rank of that pipeline stage; norms are whole on every tensor-parallel rank."""
    model, split = job.model, job.parallelism
    layers = -(-model.num_layers // split.pipeline)
    matrices = model.layer_parameters - 2 * model.hidden_size
    held = layers * (matrices // split.tensor + 2 * model.hidden_size)
    table = model.vocab_size * model.hidden_size // split.tensor
    first, last = stage == 0, stage == split.pipeline - 1
    if last:
        held += model.hidden_size
    if model.tied_embeddings:
        return held + table * (first or last)
    return held + table * (first + last)


def _bytes_a_parameter(job: TrainJob, element: int) -> tuple[float, float, float]:
    """Of weights, gradients and the optimizer's state.

    Megatron in bf16: 2 for the weight, 4 for the gradient that is summed in fp32, 12 for the master weight and Adam's
    two moments: 18, or 6 + 12 / ranks where the optimizer is distributed. The torch back end keeps weights in fp32 and
    no master: 4, 4 and 8, as all do in fp32.
    """
    split = job.parallelism
    ranks = split.data * split.context
    if job.backend == "torch" or element == FP32:
        weights, gradients, optimizer = float(FP32), float(FP32), 8.0
    else:
        weights, gradients, optimizer = 2.0, 4.0, 12.0
    if split.fully_sharded:
        return weights / ranks, gradients / ranks, optimizer / ranks
    return weights, gradients, optimizer / (ranks if split.distributed_optimizer else 1)


def _copied(job: TrainJob, element: int) -> int:
    """Bytes of the copies in bf16 that autocast makes for the torch back end, for the length of a pass.

    Of all that is multiplied: norms are none of it, nor is the table that tokens are looked up in.
    """
    if job.backend != "torch" or element == FP32:
        return 0
    model, split = job.model, job.parallelism
    matrices = model.num_layers * (model.layer_parameters - 2 * model.hidden_size)
    copied = element * (matrices + model.vocab_size * model.hidden_size)
    return copied // (split.data * split.context) if split.fully_sharded else copied


def _gathered(job: TrainJob, element: int) -> int:
    """Bytes of the two layers that are whole while fully sharded training computes: this one, and the next."""
    if not job.parallelism.fully_sharded:
        return 0
    return 2 * element * (job.model.layer_parameters // job.parallelism.tensor)


# ---------------------------------------------------------------- activations


def layers_in_flight(job: TrainJob, batch: BatchPhase, stage: int) -> int:
    """Layers x micro batches of that phase whose activations a rank holds at once, each of `micro_batch` sequences.

    One forward, one backward (Narayanan et al. 2021): stage i of p has p - i micro batches under way, if there are as
    many.
    """
    pipeline = job.parallelism.pipeline
    return -(-job.model.num_layers // pipeline) * min(pipeline - stage, _micro_batches(job, batch))


def _activations(job: TrainJob, batch: BatchPhase, stage: int, element: int) -> int:
    """Bytes for a token of each sequence of the micro batch, over all layers in flight.

    Recomputed as a whole, a layer keeps its input, and one of them at a time all that it else would.
    """
    kept = layer_activations(job) * layers_in_flight(job, batch, stage)
    if job.recompute == "full":
        kept += layer_activations(attrs.evolve(job, recompute="none"))
    return job.micro_batch * round(kept * element / job.parallelism.context)


def layer_activations(job: TrainJob) -> float:
    """Elements that one layer keeps of a token until its backward pass."""
    if job.recompute == "full":
        return _once(job, job.model.hidden_size)
    return (_torch_layer if job.backend == "torch" else _megatron_layer)(job)


def _once(job: TrainJob, elements: float) -> float:
    """What tensor parallelism alone holds on every rank, and sequence parallelism splits."""
    split = job.parallelism
    return elements / split.tensor if split.sequence_parallel else elements


def _megatron_layer(job: TrainJob) -> float:
    """Two norms keep their inputs, two blocks theirs: 4h. Attention keeps q, k, v and what it gives to the projection:
    2ad + 2kd; SwiGLU both its inputs and its product: 3f. Scores are not kept (flash attention, or `selective`).
    """
    model = job.model
    attention = 2 * _width(model) + 2 * model.num_kv_heads * model.head_dim
    return _once(job, 4 * model.hidden_size) + (attention + 3 * model.intermediate_size) / job.parallelism.tensor


def _torch_layer(job: TrainJob) -> float:
    """As it is written in runtime/training/model.py, eager: a norm keeps what it scales, and its block's input: 4h.

    q, k, v and the result of attention: 2ad + 2kd; gate, its silu, up and their product: 4f; a number for each norm and
    head. `selective` keeps of attention its input alone. Autograd is counted in tests/runtime/training/test_kept.py.
    """
    model, tensor = job.model, job.parallelism.tensor
    attention = 2 * _width(model) + 2 * model.num_kv_heads * model.head_dim + model.num_heads
    if job.recompute == "selective":
        attention = 0
    return 4 * model.hidden_size + 2 + (attention + 4 * model.intermediate_size) / tensor


def _width(model: ModelShape) -> int:
    return model.num_heads * model.head_dim


# ---------------------------------------------------------------- logits


def _logits(job: TrainJob, element: int) -> int:
    """Bytes for a token of each sequence of the micro batch on the last stage, where the loss is.

    Megatron keeps the last norm's input and output, and the logits in fp32: 2h elements and 4V / t bytes. The torch
    back end never holds them for more than a few rows (runtime/training/operations.py).
    """
    model, split = job.model, job.parallelism
    ends = _once(job, 2 * model.hidden_size) * element
    logits = 0.0 if job.backend == "torch" else FP32 * model.vocab_size / split.tensor
    return job.micro_batch * round((ends + logits) / split.context)
