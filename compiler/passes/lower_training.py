"""lower_training: stages -> a mixture drawn to the last sequence, and a TrainJob that follows the one before."""

from __future__ import annotations

from typing import Any

from compiler import ir
from compiler.draft import Draft
from compiler.passes.lower_decontamination import lower_decontamination
from compiler.passes.lower_tokens import TOKENIZER, chosen, held_out_documents, lasting_shares, shares
from compiler.passes.resolve import content_digest
from compiler.plan import Input, Task
from compiler.trainjob import (
    AdamW,
    BatchPhase,
    BlendPart,
    Guard,
    ModelShape,
    Parallelism,
    SchedulePhase,
    TrainJob,
)
from ocspec.model import Transformer
from ocspec.sources import FunctionPairs, Instructions, Source
from ocspec.training import Anneal, Cosine, FineTune, Pretrain, Stage

TRAIN_OPS: dict[str, type[ir.TrainTorch] | type[ir.TrainNeMo] | type[ir.TrainMegatron]] = {
    "torch": ir.TrainTorch,
    "nemo": ir.TrainNeMo,
    "megatron": ir.TrainMegatron,
}


def lower_training(draft: Draft) -> Draft:
    """Add the tasks of every stage in order."""
    stages = draft.experiment.curriculum.stages
    before: TrainJob | None = None
    for stage, after in zip(stages, (*stages[1:], None), strict=True):
        draft, inputs = _instructions(draft, stage) if isinstance(stage, FineTune) else _mixture(draft, stage)
        save_at = after.start_step if isinstance(after, Anneal | FineTune) else None
        job = train_job(draft.experiment.model, draft.experiment.tokenizer.vocab_size, stage, before, save_at)
        if before is not None and job.start_from != "random":
            inputs += (Input(role="init", task=f"{before.stage}/train"),)
        if stage.validate_every:
            draft, held_out = _held_out(draft, stage)
            inputs += (held_out,)
        paths: tuple[str, ...] = ("model", f"curriculum.stages.{stage.name}")
        if after is not None and save_at is not None:
            paths += (f"curriculum.stages.{after.name}.start_step",)
        task = Task(
            id=f"{stage.name}/train",
            op=TRAIN_OPS[stage.backend](job=job),
            inputs=(*inputs, Input(role="tokenizer", task=TOKENIZER)),
            spec_paths=paths,
            origin=draft.where(stage),
        )
        draft, before = draft.add(task), job
    return draft


def _mixture(draft: Draft, stage: Stage) -> tuple[Draft, tuple[Input, ...]]:
    assert isinstance(stage, Pretrain | Anneal)
    parts = lasting_shares(draft, stage.mixture)
    phases = tuple(
        ir.DrawPhase(instances=b.steps * b.global_batch, sequence_length=b.sequence_length) for b in stage.batches
    )
    tokens = tuple(Input(role="tokens", task=draft.datasets[name].tokens or "") for name in parts)
    draw = Task(
        id=f"{stage.name}/mix",
        op=ir.Draw(stage=stage.name, shares=tuple(parts.values()), phases=phases, seed=stage.seed),
        inputs=tokens,
        spec_paths=(
            *(f"curriculum.stages.{stage.name}.{field}" for field in ("mixture", "batches", "seed")),
            *(f"data.{name}.aka" for name in parts),
        ),
        origin=draft.where(stage.mixture),
    )
    return draft.add(draw), (*tokens, Input(role="blend", task=draw.id))


def _held_out(draft: Draft, stage: Stage) -> tuple[Draft, Input]:
    """The text that a stage measures itself on, ready for an environment that cannot read documents."""
    path = f"curriculum.stages.{stage.name}"
    task = Task(
        id=f"{stage.name}/held-out",
        op=ir.HeldOutText(max_bytes=stage.validate_bytes),
        inputs=(*held_out_documents(draft), Input(role="tokenizer", task=TOKENIZER)),
        spec_paths=("hold_out", f"{path}.validate_every", f"{path}.validate_bytes"),
        origin=draft.where(stage),
    )
    return draft.add(task), Input(role="held_out", task=task.id)


def _instructions(draft: Draft, stage: FineTune) -> tuple[Draft, tuple[Input, ...]]:
    path = f"curriculum.stages.{stage.name}"
    tokens: list[Input] = []
    sources = [next(s for s in draft.experiment.instructions if s.name == name) for name in stage.instructions]
    sources.sort(key=lambda source: source.identity_name)  # their order means nothing
    for source in sources:
        name = source.name
        pairs = _pairs(draft, source)
        if pairs.id not in {task.id for task in draft.tasks}:
            draft = draft.add(pairs)
        draft, clean = _decontaminated(draft, pairs)
        encode = Task(
            id=f"{stage.name}/encode-{name}",
            op=ir.EncodePairs(dataset=name, max_length=stage.max_length, seed=stage.seed),
            inputs=(Input(role="pairs", task=clean), Input(role="tokenizer", task=TOKENIZER)),
            spec_paths=tuple(f"{path}.{field}" for field in ("instructions", "max_length", "seed")),
            origin=draft.where(stage),
        )
        draft = draft.add(encode)
        tokens.append(Input(role="tokens", task=encode.id))
    draw = Task(
        id=f"{stage.name}/mix",
        op=ir.DrawSamples(
            stage=stage.name,
            datasets=tuple(source.identity_name for source in sources),
            epochs=stage.epochs,
            global_batch=stage.global_batch,
            sequence_length=stage.max_length,
            steps=stage.num_steps,
            seed=stage.seed,
        ),
        inputs=tuple(tokens),
        spec_paths=(path, *(f"instructions.{source.name}.aka" for source in sources)),
        origin=draft.where(stage),
    )
    return draft.add(draw), (*tokens, Input(role="blend", task=draw.id))


def _decontaminated(draft: Draft, pairs: Task) -> tuple[Draft, str]:
    """The pairs without what overlaps with a benchmark, where the spec asks for it."""
    step = draft.experiment.decontaminate_instructions
    if step is None:
        return draft, pairs.id
    task = Task(
        id=f"{pairs.id}/decontaminate",
        op=ir.DecontaminatePairs(**lower_decontamination(draft, step)),
        inputs=(Input(role="pairs", task=pairs.id),),
        spec_paths=("decontaminate_instructions",),
        origin=draft.where(step),
    )
    known = task.id in {known.id for known in draft.tasks}
    return draft if known else draft.add(task), task.id


def _pairs(draft: Draft, source: Source) -> Task:
    common: dict[str, Any] = {"id": f"instructions/{source.name}", "origin": draft.where(source)}
    stages = draft.experiment.curriculum.stages
    users = (s.name for s in stages if isinstance(s, FineTune) and source.name in s.instructions)
    paths = (f"instructions.{source.name}", *(f"curriculum.stages.{name}.instructions" for name in users))
    if isinstance(source, FunctionPairs):
        op: ir.Operator = ir.MakePairs(
            dataset=source.name,
            languages=tuple(sorted(set(source.languages))),
            min_docstring_chars=source.min_docstring_chars,
        )
        return Task(op=op, inputs=chosen(draft, source.dataset), spec_paths=paths, **common)
    assert isinstance(source, Instructions), "other sources of instructions are refused by a rule"
    op = ir.ReadPairs(
        dataset=source.identity_name,
        format=source.format,
        instruction=source.instruction,
        output=source.output,
        digest=content_digest(draft, source),
        location=source.path,
    )
    return Task(op=op, spec_paths=paths, **common)


def model_shape(model: Transformer, vocab_size: int) -> ModelShape:
    """A spec's model with the tokenizer's vocabulary."""
    return ModelShape(
        vocab_size=vocab_size,
        hidden_size=model.hidden_size,
        intermediate_size=model.intermediate_size,
        num_layers=model.num_layers,
        num_heads=model.num_heads,
        num_kv_heads=model.num_kv_heads,
        head_dim=model.head_dim or model.hidden_size // model.num_heads,
        max_positions=model.max_positions,
        rope_theta=model.rope_theta,
        norm_eps=model.norm_eps,
        init_std=model.init_std,
    )


def train_job(
    model: Transformer, vocab_size: int, stage: Stage, before: TrainJob | None, save_at: int | None = None
) -> TrainJob:
    """A stage as a TrainJob; annealing goes on from the learning rate and state of the job before."""
    kind, start_from = "pretrain", "random"
    if isinstance(stage, Anneal):
        kind, start_from = "anneal", "state"
    elif isinstance(stage, FineTune):
        kind, start_from = "finetune", "weights" if before else "random"
    p = stage.parallelism
    return TrainJob(
        stage=stage.name,
        kind=kind,  # type: ignore[arg-type]
        model=model_shape(model, vocab_size),
        schedule=schedule_of(stage, before),
        batches=batches_of(stage),
        start_from=start_from,  # type: ignore[arg-type]
        start_step=stage.start_step if isinstance(stage, Anneal | FineTune) else None,
        save_at=save_at,
        loss_on="answer" if isinstance(stage, FineTune) else "all",
        optimizer=AdamW(**stage.optimizer.model_dump()),
        micro_batch=stage.micro_batch,
        seed=stage.seed,
        precision=stage.precision,
        parallelism=Parallelism(**p.model_dump()),
        backend=stage.backend,
        kernels=stage.kernels,
        recompute=stage.recompute,
        guard=Guard(**stage.guard.model_dump()),
        validate_every=stage.validate_every,
        blend=blend_of(stage),
        checkpoint_every=stage.checkpoint_every,
    )


def blend_of(stage: Stage) -> tuple[BlendPart, ...]:
    """The exact shares of the stage's mixture; fine-tuning takes every sample once an epoch, so it has none."""
    if isinstance(stage, FineTune):
        return ()
    assert isinstance(stage, Pretrain | Anneal)
    return tuple(BlendPart(dataset=part.dataset, share=str(part.share)) for part in shares(stage.mixture))


def batches_of(stage: Stage) -> tuple[BatchPhase, ...]:
    """The stage's batches; a fine-tuning step is counted at its full, padded length."""
    if isinstance(stage, FineTune):
        return (BatchPhase(steps=stage.num_steps, global_batch=stage.global_batch, sequence_length=stage.max_length),)
    assert isinstance(stage, Pretrain | Anneal)
    return tuple(BatchPhase(**batches.model_dump()) for batches in stage.batches)


def schedule_of(stage: Stage, before: TrainJob | None) -> tuple[SchedulePhase, ...]:
    """Learning-rate phases: warm-up and hold, warm-up and cosine, or the decay from where the last job stood."""
    steps = sum(batch.steps for batch in batches_of(stage))
    if isinstance(stage, Anneal):
        start = before.schedule[-1].end if before else 0.0
        return (SchedulePhase(shape=stage.schedule.shape, steps=steps, start=start, end=stage.schedule.end),)
    assert isinstance(stage, Pretrain | FineTune)
    plan = stage.schedule
    end = plan.end if isinstance(plan, Cosine) else plan.peak
    shape = "cosine" if isinstance(plan, Cosine) else "constant"
    rest = SchedulePhase(shape=shape, steps=steps - plan.warmup_steps, start=plan.peak, end=end)  # type: ignore[arg-type]
    if plan.warmup_steps == 0:
        return (rest,)
    return SchedulePhase(shape="linear", steps=plan.warmup_steps, start=0.0, end=plan.peak), rest
