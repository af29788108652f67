"""The experiments of the paper compile in seconds, to the numbers that the paper states or implies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.passes.lower_data import TWINS
from compiler.plan import Plan, StageSummary
from compiler.profile import Profile
from compiler.write import write_plan
from runtime.operators import RUNTIMES, missing
from tests.pace import check, cpu_seconds

ROOT = Path(__file__).parents[2]
SIZES = ("1_5b", "8b")
BILLION = 10**9

PROGRAM = """
import sys
from compiler.compile import compile_experiment
from compiler.load import load_spec
from compiler.plan import dumps
print(len(dumps(compile_experiment(*load_spec(sys.argv[1])))))
assert not {"duckdb", "torch", "pyarrow", "numpy", "submitit"} & set(sys.modules), "an engine was loaded"
"""


@pytest.mark.parametrize("size", SIZES)
def test_it_compiles_in_two_seconds(size: str) -> None:
    """Of processor time, Python, its imports and the plan as text included; the best of three."""
    command = [sys.executable, "-c", PROGRAM, f"specs/opencoder_{size}.py"]

    def compile_it() -> None:
        done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=True)
        assert int(done.stdout) > 100_000

    check(min(cpu_seconds(compile_it) for _ in range(3)), 2)


def per_step(stage: StageSummary) -> set[int]:
    return {batch["global_batch"] * batch["sequence_length"] for batch in stage.batches}


def test_parameters(full_scale: dict[str, Plan]) -> None:
    """1,905,650,880 and 7,771,262,976; without embeddings 1.473 B and 6.980 B."""
    small, large = full_scale["1_5b"], full_scale["8b"]
    assert (small.parameters, large.parameters) == (1_905_650_880, 7_771_262_976)
    assert small.parameters_without_embeddings == pytest.approx(1.473e9, rel=5e-4)
    assert large.parameters_without_embeddings == pytest.approx(6.980e9, rel=5e-4)


@pytest.mark.parametrize(
    ("size", "tokens_a_step", "steps", "tokens", "start", "seen"),
    [
        ("1_5b", 4_194_304, 484_865, 2_033_671_208_960, 373_000, 1_564_475_392_000),
        ("8b", 8_388_608, 300_000, 2_516_582_400_000, 300_000, 2_516_582_400_000),
    ],
)
def test_pretraining(
    full_scale: dict[str, Plan], size: str, tokens_a_step: int, steps: int, tokens: int, start: int, seen: int
) -> None:
    """2.034 T and 2.517 T tokens; annealing starts after 1.564 T of the one and all of the other."""
    pretrain, anneal = full_scale[size].stage("pretrain"), full_scale[size].stage("anneal")
    assert per_step(pretrain) == {tokens_a_step}
    assert (pretrain.steps, pretrain.tokens) == (steps, tokens)
    assert anneal.start_step == start
    assert start * tokens_a_step == seen
    assert (pretrain.first_lr, pretrain.last_lr) == (0.0, 3e-4)


def test_the_8b_begins_with_short_sequences(full_scale: dict[str, Plan]) -> None:
    """130,000 steps of 2048 x 4096: 1.091 T tokens."""
    short, long = full_scale["8b"].stage("pretrain").batches
    assert (short["steps"], short["global_batch"], short["sequence_length"]) == (130_000, 2048, 4096)
    assert short["tokens"] == 1_090_519_040_000
    assert (long["steps"], long["global_batch"], long["sequence_length"]) == (170_000, 1024, 8192)


@pytest.mark.parametrize(("size", "steps", "released"), [("1_5b", 23_841, 96.5), ("8b", 11_920, 83.9)])
def test_annealing(full_scale: dict[str, Plan], size: str, steps: int, released: float) -> None:
    """100.0 B tokens, of which the released base model saw 96.5 B and 83.9 B."""
    anneal, tune = full_scale[size].stage("anneal"), full_scale[size].stage("sft_1")
    assert anneal.steps == steps
    assert anneal.tokens / BILLION == pytest.approx(100.0, abs=0.05)
    assert (anneal.first_lr, anneal.last_lr) == (3e-4, 1e-5)
    (tokens_a_step,) = per_step(anneal)
    assert tune.start_step is not None
    assert tune.start_step * tokens_a_step / BILLION == pytest.approx(released, abs=0.05)


@pytest.mark.parametrize("size", SIZES)
def test_tuning(full_scale: dict[str, Plan], size: str) -> None:
    """976 and 2,150 steps."""
    first, second = full_scale[size].stage("sft_1"), full_scale[size].stage("sft_2")
    assert (first.steps, first.instances) == (976, 976 * 4096)
    assert (second.steps, second.instances) == (2150, 2150 * 512)
    assert (first.last_lr, second.last_lr) == (0.0, 0.0)


@pytest.mark.parametrize(("size", "gpus", "hours"), [("1_5b", 256, 109.5), ("8b", 512, 187.5)])
def test_devices_and_throughput(full_scale: dict[str, Plan], size: str, gpus: int, hours: float) -> None:
    """The paper's GPUs and hours mean a believable rate on each: 200 to 450 TFLOP/s."""
    plan = full_scale[size]
    pretrain = plan.stage("pretrain")
    assert pretrain.devices == plan.stage("anneal").devices == gpus
    assert 200e12 < pretrain.flops / (gpus * hours * 3600) < 450e12


@pytest.mark.parametrize("size", SIZES)
def test_deduplication(full_scale: dict[str, Plan], size: str) -> None:
    """16 bands of 128 rows: half of the pairs at J = 0.979 are caught, and few at 0.95."""
    curves = {curve.step: curve for curve in full_scale[size].deduplication}
    assert set(curves) == {f"{name}/deduplicate" for name in ("github_code", "jupyter", "stack_v2")}
    for curve in curves.values():
        assert (curve.granularity, curve.bands, curve.rows) == ("file", TWINS.bands, TWINS.rows)
        assert round(curve.threshold, 3) == 0.979
        assert dict(curve.curve)[0.95] < 0.05 < 0.95 < dict(curve.curve)[0.99]


@pytest.mark.parametrize("size", SIZES)
def test_what_this_version_cannot_run_is_named(full_scale: dict[str, Plan], size: str) -> None:
    """Every operator without a runtime, with all its tasks, and no other."""
    plan = full_scale[size]
    lacking = missing(plan)
    assert set(lacking) == {task.op.op_id for task in plan.tasks} - set(RUNTIMES)
    assert {"eval.benchmark", "train.nemo"} & set(lacking), "else say so in this test"
    assert not {"data.recall_web", "data.sign", "data.edges", "data.cluster", "text.encode"} & set(lacking)
    for op_id, tasks in lacking.items():
        assert tasks == [task.id for task in plan.tasks if task.op.op_id == op_id]


def test_everything_is_written(full_scale: dict[str, Plan], tmp_path: Path) -> None:
    """A training config for each stage, NeMo's beside it, a script for each task, and the queries."""
    plan = full_scale["8b"]
    write_plan(plan, tmp_path, ROOT / "specs", Profile())
    stages = [stage.name for stage in plan.stages]
    for name in ("job.json", "nemo.yaml"):
        written = sorted(path.parent.parent.name for path in (tmp_path / "training").rglob(name))
        assert written == sorted(stages)
    assert len(list((tmp_path / "sbatch").rglob("*.sh"))) == len(plan.tasks)
    assert (tmp_path / "sql" / "github_code" / "deduplicate" / "cluster" / "ranked.sql").is_file()


def test_every_instruction_source_is_read_on_its_own(full_scale: dict[str, Plan]) -> None:
    """Seven sources of which only name and size are known are seven sources, not one."""
    plan = full_scale["1_5b"]
    read = [task.id for task in plan.tasks if task.op.op_id == "instruct.read_pairs"]
    assert len(read) == 7
    assert len(set(plan.task("sft_1/mix").upstream)) == 3
    assert len(set(plan.task("sft_2/mix").upstream)) == 4


def test_both_sizes_share_their_data(full_scale: dict[str, Plan]) -> None:
    """What is refined for one is there for the other: all data and tokens, no mixture and no training."""
    small, large = full_scale.values()
    shared = {task.fingerprint for task in small.tasks} & {task.fingerprint for task in large.tasks}
    names = {task.id for task in small.tasks if task.fingerprint in shared}
    assert {"github_code/pack", "synthetic_textbooks/pack", "tokenizer"} <= names
    assert not {name for name in names if name.endswith(("/train", "/mix"))} - {"sft_1/mix", "sft_2/mix"}
