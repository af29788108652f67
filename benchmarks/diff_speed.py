"""Diff of two large plans, by parts: reading them, comparing specs and tasks, and gathering what is shown.

    .venv/bin/python benchmarks/diff_speed.py [TASKS]

Two real plans, compiled here from generated specs of data sets and stages that differ in one flag of every data set and
one learning rate; 10,000 tasks each unless said otherwise. Beside it, as the peer, a structural diff of the same two
documents by `deepdiff` (an environment of its own), which knows neither keys nor tasks; it is left out where there are
more than 1,000 tasks. CPU seconds, the best of three. Not a test: run it where nothing else runs.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import environment, run

from compiler import plan as plans
from compiler.compile import compile_experiment
from compiler.diff import diff_plans
from compiler.plan import Plan
from ocspec import (
    WSD,
    Admit,
    Batches,
    Curriculum,
    Dataset,
    Declared,
    Deduplicate,
    Downsample,
    Experiment,
    Filter,
    Mixture,
    Parquet,
    Part,
    Pretrain,
    PretrainedTokenizer,
    Redact,
    Transformer,
)
from ocspec.cli.groups import change_groups, task_groups

TASKS = 10_000
PER_DATASET = 7
MOST_FOR_PEER = 1000
"""Of 700 tasks the peer takes 40 s."""
PEER = """
import json, sys
from deepdiff import DeepDiff
one, other = (json.load(open(name)) for name in sys.argv[1:])
print(len(DeepDiff(one, other, ignore_order=False).to_dict().get("values_changed", {})))
"""


def experiment(datasets: int, pii: bool, peak: float) -> Experiment:
    """So many data sets of seven tasks each, and one stage on all of them."""
    known = Declared(tokens=10**9, bytes=4 * 10**9, documents=10**6, revision="r1")
    steps = (Admit(), Deduplicate(), Redact(pii=pii), Filter(), Downsample(caps={"html": 10**9}))
    data = tuple(
        Dataset(
            name=f"part{n}",
            sources=(Parquet(name=f"source{n}", path=f"nowhere/{n}/*.parquet", declared=known),),
            steps=steps,
            declared=known,
        )
        for n in range(datasets)
    )
    stage = Pretrain(
        name="base",
        mixture=Mixture(parts=tuple(Part(dataset=dataset.name, weight=1) for dataset in data)),
        batches=(Batches(steps=1000, global_batch=1024, sequence_length=4096),),
        schedule=WSD(peak=peak, warmup_steps=10),
    )
    return Experiment(
        name="large",
        data=data,
        tokenizer=PretrainedTokenizer(name="t", path="t.json", vocab_size=1000),
        model=Transformer(
            num_layers=2,
            hidden_size=64,
            intermediate_size=128,
            num_heads=4,
            num_kv_heads=2,
            max_positions=4096,
        ),
        curriculum=Curriculum(stages=(stage,)),
    )


def best(work: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """The least CPU seconds of several runs, and what the last one gave."""
    took, found = [], None
    for _ in range(times):
        began = time.process_time()
        found = work()
        took.append(time.process_time() - began)
    return min(took), found


def main() -> None:
    """Compile, compare, print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else TASKS
    datasets = count // PER_DATASET
    one, other = (
        compile_experiment(experiment(datasets, pii, peak), Path()) for pii, peak in ((True, 1e-3), (False, 2e-3))
    )
    print(f"two plans of {len(one.tasks):,} tasks")
    seconds, diff = best(lambda: diff_plans(one, other))
    print(f"diff_plans            {seconds:7.2f} CPU-s, {len(diff.changes):,} changes, {len(diff.tasks):,} tasks")
    touched = [task for task in diff.tasks if task.action != "reuse"]
    seconds, lines = best(lambda: (task_groups(touched), change_groups(diff.changes, (one.spec, other.spec))))
    print(f"gathered for a screen {seconds:7.2f} CPU-s, {len(lines[0])} lines of tasks, {len(lines[1])} of changes")
    reading(one, other)


def reading(one: Plan, other: Plan) -> None:
    """The same from files, and the peer on the same files."""
    with tempfile.TemporaryDirectory() as folder:
        names = [Path(folder) / f"{name}.json" for name in ("one", "other")]
        for name, plan in zip(names, (one, other), strict=True):
            name.write_text(plans.dumps(plan))
        size = sum(name.stat().st_size for name in names) / 1e6
        seconds, _ = best(lambda: [json.loads(name.read_text()) for name in names], 1)
        print(f"json alone            {seconds:7.2f} CPU-s, {size:.0f} MB")
        seconds, _ = best(lambda: [plans.load(name) for name in names], 1)
        print(f"reading both plans    {seconds:7.2f} CPU-s")
        if len(one.tasks) <= MOST_FOR_PEER:
            cost, printed = run([environment("deepdiff", "deepdiff"), "-c", PEER, *map(str, names)])
            print(f"deepdiff              {cost.cpu:7.2f} CPU-s, {printed} values")


if __name__ == "__main__":
    main()
