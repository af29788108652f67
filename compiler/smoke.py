"""A rehearsal: the training jobs of a compiled plan, shrunk until this machine runs each in seconds.

Not another compiler: it takes the plan that `compile` made, makes its TrainJobs small, and what emitters, dispatcher
and worker do with them is what they do with the large ones, back end included. Data sets are replaced by made-up code
(`smoke.data`); their mixtures are drawn as ever, by the same shares. Which stage starts from which, at which of its
steps, with which state, stays. Measurements are left out: there is nothing to measure. What this shows is that a stage
starts, trains, saves and hands over, and nothing about what a model learns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import attrs

from compiler import ir
from compiler.errors import UserError
from compiler.passes.budget import stage_summary
from compiler.passes.fingerprint import identified
from compiler.passes.lower_training import TRAIN_OPS
from compiler.plan import Input, Plan, Resources, Task
from compiler.trainjob import BatchPhase, ModelShape, Parallelism, SchedulePhase, TrainJob

SUFFIX = "-smoke"
NUM_LAYERS = 2
HEAD_DIM = 16
LEAST_HEADS = 4
WIDTH_MULTIPLE = 16
VOCAB_SIZE = 512
CONTEXT = 128
"""Tokens of the longest sequence of each stage; the others keep their ratio to it."""
STEPS_A_PHASE = 8
GLOBAL_BATCH = 4
MICRO_BATCH = 2
CHECKPOINT_EVERY = 4
SMALL = Resources(task_class="group", cpus=1, memory_mb=2048)
TRAINING = Resources(task_class="train", cpus=2, memory_mb=4096)


def smoke(plan: Plan) -> Plan:
    """The plan's training, shrunk, on made-up data; it is called NAME-smoke. UserError where nothing trains."""
    trains = [task for task in plan.tasks if isinstance(task.op, ir.TrainOp)]
    if not trains:
        raise UserError(f"the plan of {plan.experiment!r} trains nothing", fix="rehearse an experiment with stages")
    jobs = shrunk_jobs(trains)
    most = max(job.tokens for job in jobs.values())
    tasks = [task for train in trains for task in _stage(plan, train, jobs[train.id], most)]
    tasks = _identified({task.id: task for task in tasks}.values())  # stages share the tokenizer and some data sets
    model = jobs[trains[0].id].model
    return Plan(
        experiment=plan.experiment + SUFFIX,
        spec=plan.spec,
        delta=plan.delta,
        tasks=tuple(tasks),
        parameters=model.parameters,
        parameters_without_embeddings=model.parameters - model.embedding_parameters,
        stages=tuple(stage_summary(task, jobs[task.id]) for task in tasks if task.id in jobs),
    )


# ---------------------------------------------------------------- jobs


def shrunk_jobs(trains: Sequence[Task]) -> dict[str, TrainJob]:
    """The jobs of training tasks by the task's id, each small, upstream first.

    A stage that starts at a step of the one before does so here, too: at the step that the other keeps.
    """
    jobs: dict[str, TrainJob] = {}
    for task in trains:
        assert isinstance(task.op, ir.TrainOp)
        small = shrunk(task.op.job)
        before = next((jobs[item.task] for item in task.inputs if item.role == "init"), None)
        if before is not None and small.start_step is not None:
            small = attrs.evolve(small, start_step=before.save_at)
        jobs[task.id] = small
    return jobs


def shrunk(job: TrainJob) -> TrainJob:
    """A job of the same kind, back end and sequence of phases for one processor, in fp32.

    Learning rates stay; a warm-up keeps its share of the steps, and two of them at least. `start_step` stays what it
    is: it counts steps of another job.
    """
    batches = shrunk_batches(job.batches)
    steps = sum(batch.steps for batch in batches)
    save_at = None if job.save_at is None else scaled_step(job, batches, job.save_at)
    return attrs.evolve(
        job,
        model=shrunk_model(job.model),
        schedule=shrunk_schedule(job.schedule, steps),
        batches=batches,
        save_at=save_at,
        validate_every=0,
        precision="fp32",
        micro_batch=MICRO_BATCH,
        parallelism=Parallelism(),
        kernels="auto" if job.kernels == "fused" else job.kernels,
        checkpoint_every=CHECKPOINT_EVERY if job.checkpoint_every else 0,
    )


def shrunk_model(model: ModelShape) -> ModelShape:
    """Two layers of narrow heads. As many queries share a key-value head as before; proportions stay.

    >>> shape = ModelShape(
    ...     vocab_size=96_640,
    ...     hidden_size=4096,
    ...     intermediate_size=14_336,
    ...     num_layers=32,
    ...     num_heads=32,
    ...     num_kv_heads=8,
    ...     head_dim=128,
    ...     max_positions=8192,
    ... )
    >>> small = shrunk_model(shape)
    >>> small.num_heads, small.num_kv_heads, small.head_dim, small.hidden_size, small.intermediate_size
    (8, 2, 16, 128, 448)
    """
    sharing = model.num_heads // model.num_kv_heads
    num_kv_heads = min(model.num_kv_heads, max(2, LEAST_HEADS // sharing))
    num_heads = num_kv_heads * sharing
    hidden_size = _width(num_heads * HEAD_DIM * Fraction(model.hidden_size, model.num_heads * model.head_dim))
    return attrs.evolve(
        model,
        vocab_size=min(VOCAB_SIZE, model.vocab_size),
        hidden_size=hidden_size,
        intermediate_size=_width(hidden_size * Fraction(model.intermediate_size, model.hidden_size)),
        num_layers=NUM_LAYERS,
        num_heads=num_heads,
        num_kv_heads=num_kv_heads,
        head_dim=HEAD_DIM,
        max_positions=CONTEXT,
    )


def _width(wanted: Fraction) -> int:
    return max(1, round(wanted / WIDTH_MULTIPLE)) * WIDTH_MULTIPLE


def shrunk_batches(batches: Sequence[BatchPhase]) -> tuple[BatchPhase, ...]:
    """A few steps of each phase, of few sequences. Lengths become powers of two, since they must divide the longest."""
    longest = max(batch.sequence_length for batch in batches)
    return tuple(
        BatchPhase(
            steps=min(STEPS_A_PHASE, batch.steps),
            global_batch=GLOBAL_BATCH,
            sequence_length=_power_of_two(max(1, CONTEXT * batch.sequence_length // longest)),
        )
        for batch in batches
    )


def _power_of_two(number: int) -> int:
    return 1 << (number.bit_length() - 1)


def shrunk_schedule(schedule: Sequence[SchedulePhase], steps: int) -> tuple[SchedulePhase, ...]:
    """The same curve over `steps` steps. Every phase but the longest has two steps at least, where it had two."""
    total = sum(phase.steps for phase in schedule)
    longest = max(range(len(schedule)), key=lambda number: schedule[number].steps)
    counts = [max(min(2, phase.steps), steps * phase.steps // total) for phase in schedule]
    counts[longest] += steps - sum(counts)
    assert min(counts) > 0, f"{len(schedule)} phases of a schedule do not fit {steps} steps"
    return tuple(attrs.evolve(phase, steps=count) for phase, count in zip(schedule, counts, strict=True))


def scaled_step(job: TrainJob, batches: Sequence[BatchPhase], step: int) -> int:
    """Where a step of the job is among the shrunk phases: as far into the same phase. Only the last stays the last."""
    small = 0
    for phase, short in zip(job.batches, batches, strict=True):
        if step <= phase.steps:
            within = round(Fraction(step * short.steps, phase.steps))
            is_last = phase is job.batches[-1] and step == phase.steps
            return max(1, min(small + within, sum(b.steps for b in batches) - (not is_last)))
        step, small = step - phase.steps, small + short.steps
    raise AssertionError(f"step {step} past the end of {job.stage}")


# ---------------------------------------------------------------- tasks


def _stage(plan: Plan, train: Task, job: TrainJob, most: int) -> list[Task]:
    """The tasks of one stage, under the names that they have in the plan."""
    blend = plan.task(_inputs(train, "blend")[0])
    tokens, (tokenizer,) = _inputs(train, "tokens"), _inputs(train, "tokenizer")
    data, mix = _draw(blend, job, most)
    made = {
        tokenizer: ir.SmokeTokenizer(vocab_size=job.model.vocab_size, special_tokens=special_tokens(plan)),
        **dict(zip(tokens, data, strict=True)),
    }
    read = (Input(role="tokenizer", task=tokenizer),)
    tasks = [_small(plan.task(name), op, () if name == tokenizer else read) for name, op in made.items()]
    kept = tuple(item for item in train.inputs if item.role in {"tokens", "blend", "init", "tokenizer"})
    return [
        *tasks,
        _small(blend, mix, tuple(item for item in blend.inputs if item.role == "tokens")),
        attrs.evolve(train, op=TRAIN_OPS[job.backend](job=job), inputs=kept, resources=TRAINING),
    ]


def _draw(blend: Task, job: TrainJob, most: int) -> tuple[list[ir.SmokeData], ir.Operator]:
    """Data for each part of a mixture, enough for all of it, and the draw of the shrunk job."""
    op = blend.op
    if isinstance(op, ir.Draw):
        shares = tuple(attrs.evolve(share, max_epochs=max(share.max_epochs, Fraction(1))) for share in op.shares)
        phases = tuple(
            ir.DrawPhase(instances=b.steps * b.global_batch, sequence_length=b.sequence_length) for b in job.batches
        )
        data = [ir.SmokeData(dataset=share.dataset, num_tokens=most + 2 * CONTEXT) for share in shares]
        return data, ir.Draw(stage=op.stage, shares=shares, phases=phases, seed=op.seed)
    assert isinstance(op, ir.DrawSamples)
    batch = job.batches[0]
    each = -(-batch.steps * batch.global_batch // (op.epochs * len(op.datasets)))
    data = [ir.SmokeData(dataset=name, num_samples=each, max_length=batch.sequence_length) for name in op.datasets]
    return data, ir.DrawSamples(
        stage=op.stage,
        datasets=op.datasets,
        epochs=op.epochs,
        global_batch=batch.global_batch,
        sequence_length=batch.sequence_length,
        steps=batch.steps,
        seed=op.seed,
    )


def special_tokens(plan: Plan) -> tuple[str, ...]:
    """The special tokens of the experiment's tokenizer."""
    return tuple(plan.spec["fields"]["tokenizer"]["fields"]["special_tokens"])


def _inputs(task: Task, role: str) -> list[str]:
    return [item.task for item in task.inputs if item.role == role]


def _small(task: Task, op: ir.Operator, inputs: tuple[Input, ...]) -> Task:
    """A task in the place of another; it needs next to nothing and has no query."""
    return attrs.evolve(task, op=op, inputs=inputs, shards=1, resources=SMALL, sql={})


def _identified(tasks: Iterable[Task]) -> list[Task]:
    """The tasks with the identities that their new operators give them; upstream first, as they are."""
    identity: dict[str, str] = {}
    found = []
    for task in tasks:
        found.append(identified(task, identity))
        identity[task.id] = found[-1].fingerprint
    return found
