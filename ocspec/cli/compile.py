"""ocspec compile: spec -> plan, checked, written and summed up. Runs nothing."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ocspec.cli import arguments, arms, exits, overrides
from ocspec.cli.output import plural, print_json, print_table, quantity, say, scientific, short_path

if TYPE_CHECKING:
    from compiler.plan import Plan, StageSummary, Task
    from compiler.profile import Profile
    from ocspec.experiment import Experiment


def add_parser(subparsers: arguments.Subparsers) -> None:
    """Options of `compile`."""
    parser = arguments.add_verb(
        subparsers,
        "compile",
        run,
        "check a spec and write its plan; run nothing",
        "Writes plan.json and, beside it for people, every query, training config and\nsbatch script. "
        "Of a sweep, or of a tuple of experiments (FILE:NAME), there is\none plan for each arm.",
    )
    arguments.add_compile(parser)
    overrides.add_sweep(parser)
    arguments.add_profile(parser)
    arguments.add_json(parser)


def run(args: Namespace) -> int:
    """Compile, write, remember and describe; of several arms all."""
    from compiler.load import load_arms

    experiments, base = load_arms(args.spec)
    if args.sweeps or len(experiments) > 1:
        return arms.compile_arms(args, experiments, base)
    plan, file = compile_and_write(args, experiments[0], base)
    if args.json:
        print_json("compile", **facts(plan), plan=str(file))
    else:
        show(plan, file)
        say("next: `ocspec plan` shows what would run, `ocspec submit` runs it")
    return exits.OK


def compile_spec(args: Namespace) -> tuple[Plan, Path]:
    """Compile `args.spec` and write the plan; it is the last compiled from now on."""
    from compiler.load import load_spec

    return compile_and_write(args, *load_spec(args.spec))


def compile_and_write(args: Namespace, experiment: Experiment, base: Path) -> tuple[Plan, Path]:
    """Compile an experiment with what --set says, and write the plan; it is the last compiled from now on."""
    profile = arguments.profile_called(args.profile)
    plan = overrides.with_delta(experiment, args.settings, base, args.shards, profile=profile)
    return write(args, plan, base, profile, Path(args.out) if args.out else None)


def write(
    args: Namespace,
    plan: Plan,
    base: Path,
    profile: Profile,
    out: Path | None,
    elsewhere: Mapping[str, Task] | None = None,
) -> tuple[Plan, Path]:
    """Write a plan, or its rehearsal, below `build/` where nothing else is said; `elsewhere` as in `write_plan`."""
    from compiler.revisions import original
    from compiler.smoke import smoke
    from compiler.write import remember_latest, write_plan
    from runtime.review import discard_if_other

    if args.smoke:
        plan = smoke(plan)
    out = out or arguments.BUILD / plan.experiment
    file = write_plan(plan, out, original(base), profile, elsewhere)
    if discard_if_other(file):
        say(f"the review in {short_path(str(out))} was of another plan and is removed")
    remember_latest(file, arguments.BUILD)
    return plan, file


def facts(plan: Plan) -> dict[str, object]:
    """The summary as plain data."""
    import attrs

    from runtime.operators import missing

    return {
        "experiment": plan.experiment,
        "delta": overrides.delta_facts(plan.delta),
        "parameters": plan.parameters,
        "parameters_without_embeddings": plan.parameters_without_embeddings,
        "stages": [attrs.asdict(stage) for stage in plan.stages],
        "deduplication": [attrs.asdict(step) for step in plan.deduplication],
        "tasks": dict(Counter(task.resources.task_class for task in plan.tasks)),
        "missing_operators": missing(plan),
    }


def show(plan: Plan, file: Path) -> None:
    """Print the summary for people."""
    from runtime.operators import missing

    embeddings = plan.parameters - plan.parameters_without_embeddings
    parameters = f"{quantity(plan.parameters)} parameters, {quantity(embeddings)} of them embeddings"
    print(f"{plan.experiment}: {parameters}")
    for line in overrides.delta_lines(plan.delta):
        print(f"  {line}")
    print()
    headers = ("stage", ">steps", ">tokens", "batch x length", "learning rate", ">FLOPs")
    print_table(headers, [row for stage in plan.stages for row in _rows(stage, plan.task(stage.task))], indent=2)
    tokens, flops = sum(s.tokens for s in plan.stages), sum(s.flops for s in plan.stages)
    print(f"  in all {quantity(tokens)} tokens, {scientific(flops)} FLOPs\n")
    for step in plan.deduplication:
        curve = f"{step.bands} bands of {step.rows} rows, collision threshold J = {step.threshold:.3f}"
        chosen = f", chosen for J = {step.chosen_for:g}" if step.chosen_for is not None else ""
        print(f"{step.step} by {step.granularity}: {curve}{chosen}")
    classes = Counter(task.resources.task_class for task in plan.tasks)
    print(f"{plural(len(plan.tasks), 'task')}: {', '.join(f'{n} {name}' for name, n in classes.items())}")
    for op_id, tasks in missing(plan).items():
        print(f"needs a runtime that this version lacks: {op_id}, for {plural(len(tasks), 'task')}")
    print(f"plan: {short_path(str(file))}")


def _rows(stage: StageSummary, task: Task) -> list[tuple[str, ...]]:
    """A stage's row and, where its batches change on the way, one for each phase below it."""
    phases = [
        (
            "",
            f"{b['steps']:,}",
            quantity(b["tokens"]),
            f"{b['global_batch']} x {b['sequence_length']}",
            "",
            "",
        )
        for b in stage.batches
    ]
    batch = phases[0][3] if len(phases) == 1 else f"{len(phases)} phases:"
    numbers = (f"{stage.steps:,}", quantity(stage.tokens), batch)
    row = (stage.name, *numbers, learning_rate(stage, task), scientific(stage.flops))
    return [row, *(phases if len(phases) > 1 else [])]


def learning_rate(stage: StageSummary, task: Task) -> str:
    """First, highest and last learning rate, each where it differs from the one before."""
    from compiler.ir import TrainMegatron, TrainNeMo, TrainTorch

    assert isinstance(task.op, TrainTorch | TrainNeMo | TrainMegatron), task.op
    peak = max(lr for phase in task.op.job.schedule for lr in (phase.start, phase.end))
    way = [stage.first_lr, peak, stage.last_lr]
    return " -> ".join(f"{lr:g}" for i, lr in enumerate(way) if i == 0 or lr != way[i - 1])
