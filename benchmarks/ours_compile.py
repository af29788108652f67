"""Ours for `compile_speed`: a spec of about so many tasks, and the arms of a sweep. Not the comparison.

SPEC ARMS: compiles the arms of the spec in this process, and prints how many tasks they have.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from compiler.compile import compile_all
from compiler.load import load_spec
from ocspec import sweep
from ocspec.cli import COLLECTED_AFTER

TASKS_A_DATASET = 6  # sign, edges, cluster, refine, encode, pack
OTHER_TASKS = 3  # tokenizer, mixture, training

TEXT = """\
from ocspec import *

DATA = tuple(
    Dataset(
        name=f"d{{number}}",
        sources=(
            Parquet(
                name=f"s{{number}}",
                path=f"absent/{{number}}/*.parquet",
                declared=Declared(bytes=10**12, documents=10**8, tokens=10**12),
            ),
        ),
        steps=(Admit(languages=("python",)), Deduplicate(granularity="file", near=MinHash(bands=16, rows=128))),
    )
    for number in range({datasets})
)
experiment = Experiment(
    name="graph",
    data=DATA,
    tokenizer=PretrainedTokenizer(name="t", path="absent.json", vocab_size=96_640, digest="{digest}"),
    model=Transformer(
        num_layers=32, hidden_size=4096, intermediate_size=14_336, num_heads=32, num_kv_heads=8, max_positions=4096
    ),
    curriculum=Curriculum(
        stages=(
            Pretrain(
                name="pretrain",
                mixture=Mixture(parts=tuple(Part(dataset=d.name, weight=1) for d in DATA)),
                batches=(Batches(steps=100_000, global_batch=1024, sequence_length=4096),),
                schedule=WSD(peak=3e-4, warmup_steps=2_000),
                micro_batch=1,
                parallelism=Parallelism(tensor=2, data=256, distributed_optimizer=True),
                precision="bf16",
                backend="nemo",
                checkpoint_every=1_000,
            ),
        )
    ),
)
"""


def write_spec(file: Path, tasks: int) -> None:
    """A spec of about so many tasks: data sets that are absent and declared, all of them in one mixture."""
    datasets = max(1, round((tasks - OTHER_TASKS) / TASKS_A_DATASET))
    file.write_text(TEXT.format(datasets=datasets, digest="0" * 64))


def main() -> None:
    """Compile the arms: a hundred learning rates by ten thresholds are a thousand."""
    gc.set_threshold(COLLECTED_AFTER)  # as the command line does
    experiment, base = load_spec(sys.argv[1])
    data = experiment.data[0]
    places = {
        "curriculum.stages.pretrain.schedule.peak": [1e-4 + 1e-6 * rate for rate in range(int(sys.argv[2]) // 10)],
        f"data.{data.name}.steps.deduplicate.near.rows": [100 + rows for rows in range(10)],
    }
    plans = list(compile_all(sweep(experiment, places), base))
    distinct = {task.fingerprint for plan in plans for task in plan.tasks}
    print(f"{len(plans)} arms of {len(plans[0].tasks)} tasks, {len(distinct)} distinct")


if __name__ == "__main__":
    main()
