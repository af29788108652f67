"""The loss of one job on every back end and split, as a table. Not a test: `test_parity.py` asserts what this prints.

    python -m tests.stacks.parity

In the training environment. The reference is plain torch on one rank; differences are relative, over all steps.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import attrs

from compiler.trainjob import Backend, Parallelism
from tests.stacks.bench import JOB, Bench, largest_difference

CASES: dict[str, tuple[Backend, Parallelism]] = {
    "torch": ("torch", Parallelism()),
    "torch, data 2": ("torch", Parallelism(data=2)),
    "torch, fully sharded 2": ("torch", Parallelism(data=2, fully_sharded=True)),
    "megatron": ("megatron", Parallelism()),
    "megatron, tensor 2": ("megatron", Parallelism(tensor=2)),
    "megatron, tensor 2 with sequence": ("megatron", Parallelism(tensor=2, sequence_parallel=True)),
    "megatron, pipeline 2": ("megatron", Parallelism(pipeline=2)),
    "megatron, data 2": ("megatron", Parallelism(data=2)),
    "megatron, data 2, distributed optimizer": ("megatron", Parallelism(data=2, distributed_optimizer=True)),
    "megatron, tensor 2 x pipeline 2": ("megatron", Parallelism(tensor=2, pipeline=2)),
    "nemo": ("nemo", Parallelism()),
    "nemo, tensor 2": ("nemo", Parallelism(tensor=2)),
    "nemo, pipeline 2": ("nemo", Parallelism(pipeline=2)),
    "nemo, data 2, distributed optimizer": ("nemo", Parallelism(data=2, distributed_optimizer=True)),
}
SHOWN = (1, 10, 50)


def main() -> None:
    """Run every case, or those whose names begin with an argument, and print a row for each."""
    wanted = sys.argv[1:] or [""]
    with tempfile.TemporaryDirectory() as directory:
        bench, reference = Bench(Path(directory)), None
        print(f"{'':40s}" + "".join(f"{f'step {step}':>13s}" for step in SHOWN) + "   largest difference")
        for name, (backend, split) in CASES.items():
            if reference is not None and not name.startswith(tuple(wanted)):
                continue
            losses = bench.trained(name.replace(" ", "-"), attrs.evolve(JOB, backend=backend, parallelism=split)).losses
            reference = losses if reference is None else reference
            shown = "".join(f"{losses[step - 1]:13.8f}" for step in SHOWN)
            print(f"{name:40s}{shown}   {largest_difference(reference, losses):.1e}", flush=True)


if __name__ == "__main__":
    main()
