"""Whether plans of the miniature tell the truth: random mutations of it, what the plan said and what then ran.

    python -m benchmarks.plan_truth --out build/plan_truth --steps 10 [--number 30] [--seed 6]

`specs/opencoder_mini.py` runs once; then each mutation is planned, and run on a copy of that store. It is the real one
but for its curriculum, whose steps are divided by --steps, and its measurements, of as many fewer bytes: thirty runs of
whole trainings are hours. Mutations that would train three times as much, and those of a package (its version and
digest name one file of the index), are left out. A row for each: tasks that the plan named, whose bytes differ, that
were cut off, that wrote the same bytes again, that failed. Exits 1 where what was said is not what happened.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT
from compiler.compile import compile_experiment
from compiler.load import load_spec
from compiler.plan import Plan
from compiler.profile import Profile
from compiler.write import write_plan
from ocspec import Package
from ocspec.base import Spec
from ocspec.experiment import Experiment
from runtime.dispatch.local import LocalDispatcher
from runtime.journal import Journal
from runtime.run import Summary, run_plan
from runtime.store import Store
from tests.property.mutations import mutations
from tests.runtime.truth import Truth, truths

SPEC = ROOT / "specs" / "opencoder_mini.py"
MOST_TRAINING = 3


def main() -> None:
    """Run, mutate, plan, run, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "plan_truth", help="for stores and plans")
    parser.add_argument("--steps", type=int, default=10, help="what the steps of every stage are divided by")
    parser.add_argument("--number", type=int, default=30, help="of mutations")
    parser.add_argument("--seed", type=int, default=6, help="of mutations")
    args = parser.parse_args()
    out = args.out.resolve()
    experiment, base = load_spec(str(SPEC))
    experiment = shortened(experiment, args.steps)
    before = compile_experiment(experiment, base)
    store = Store(out / "store")
    run(before, write_plan(before, out / "plan", base, Profile()), store)
    flops = training(before)

    def keep(owner: Spec, plan: Plan) -> bool:
        return not isinstance(owner, Package) and training(plan) <= MOST_TRAINING * flops

    mutated = [(said, plan) for said, _, plan in mutations(experiment, base, args.number, args.seed, keep=keep)]
    print("| mutation | named | other bytes | cut off | same bytes again | failed | as said | s |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    seen, began = [], time.monotonic()
    for one in truths(mutated, before, base, store, out, run):
        print(row(one, time.monotonic() - began), flush=True)
        seen.append(one)
        began = time.monotonic()
    print(f"\n{sum(one.is_as_said for one in seen)} of {len(seen)} plans said what happened:", total(seen))
    raise SystemExit(not all(one.is_as_said for one in seen))


def shortened(experiment: Experiment, by: int) -> Experiment:
    """The same curriculum with fewer steps and hardly a warm-up, measured on fewer bytes."""
    stages = tuple(shorter(stage, by) for stage in experiment.curriculum.stages)
    evaluations = tuple(one.replace(max_bytes=one.max_bytes // by) for one in experiment.evaluations)
    return experiment.replace(curriculum=experiment.curriculum.replace(stages=stages), evaluations=evaluations)


def shorter(stage: Any, by: int) -> Any:
    """A stage of any kind with fewer steps."""
    changes: dict[str, Any] = {"checkpoint_every": 2}
    if hasattr(stage, "batches"):
        changes["batches"] = tuple(one.replace(steps=max(2, one.steps // by)) for one in stage.batches)
    else:
        changes["steps"] = max(2, stage.steps // by)
    if hasattr(stage.schedule, "warmup_steps"):
        changes["schedule"] = stage.schedule.replace(warmup_steps=1)
    return stage.replace(**changes)


def training(plan: Plan) -> int:
    """FLOPs of all stages."""
    return sum(stage.flops for stage in plan.stages)


def run(plan: Plan, path: Path, store: Store) -> Summary:
    """As `ocspec run` does, in silence."""
    journal = Journal(path.parent / "journal")
    return run_plan(plan, store, LocalDispatcher(path, store.root, path.parent / "logs"), journal, lambda _: None)


def row(one: Truth, seconds: float) -> str:
    """Of the table."""
    counts = [len(tasks) for tasks in (one.rebuilt, one.differs, one.cut_off, one.same_again, one.failed)]
    return f"| {one.mutation} | {' | '.join(map(str, counts))} | {'yes' if one.is_as_said else 'NO'} | {seconds:.0f} |"


def total(seen: list[Truth]) -> str:
    """Of all mutations."""
    counts = {
        "named": sum(len(one.rebuilt) for one in seen),
        "other bytes": sum(len(one.differs) for one in seen),
        "cut off": sum(len(one.cut_off) for one in seen),
        "same bytes again": sum(len(one.same_again) for one in seen),
        "failed": sum(len(one.failed) for one in seen),
    }
    return ", ".join(f"{number} {name}" for name, number in counts.items())


if __name__ == "__main__":
    main()
