"""sbatch scripts: directives from a task and a profile, and text that a shell and Slurm take."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from compiler.emit.sbatch import directives, job_name, sbatch_script
from compiler.plan import Plan, Task
from compiler.profile import ClassLimits, Profile

CLUSTER = Profile(
    name="cluster",
    dispatch="slurm",
    partition="cpu",
    account="lab",
    minutes=120,
    max_parallel_shards=50,
    python="/opt/ocspec/bin/python",
    setup=("module load cuda", "export OMP_NUM_THREADS=1"),
    sbatch={"mail-type": "FAIL"},
    classes={
        "train": ClassLimits(partition="gpu", minutes=2880),
        "data": ClassLimits(cpus=4, memory_mb=8000),
    },
)


@pytest.mark.parametrize("task", ["pretrain/train", "sft_1/train", "github_code/sign", "anneal/humaneval"])
def test_scripts_of_the_8b(full_scale: dict[str, Plan], golden: Callable, task: str) -> None:
    """GPUs on several nodes, arrays of thousands, single tasks."""
    plan = full_scale["8b"]
    golden(f"sbatch/8b/{task.replace('/', '-')}.sh", sbatch_script(plan.task(task), CLUSTER, plan.experiment))


def test_scripts_of_the_mini(mini_plan: Plan, golden: Callable) -> None:
    """All of them with the default profile, in one file."""
    scripts = (f"### {t.id}\n{sbatch_script(t, Profile(), mini_plan.experiment)}" for t in mini_plan.tasks)
    golden("sbatch/mini.txt", "\n".join(scripts))


def test_queries_of_the_mini(mini_plan: Plan, golden: Callable) -> None:
    """Every query that runs, in one file: a change of the emitter shows here and in no fingerprint."""
    queries = (f"-- {task.id}: {name}\n{text};\n" for task in mini_plan.tasks for name, text in task.sql.items())
    golden("sql/mini.sql", "\n".join(queries))


def test_limits_come_from_the_class_then_the_profile_then_the_task(full_scale: dict[str, Plan]) -> None:
    """And what is not said is left out."""
    plan = full_scale["8b"]
    train = directives(plan.task("pretrain/train"), CLUSTER, plan.experiment)
    assert (train["partition"], train["time"]) == ("gpu", "2880")
    assert (train["nodes"], train["ntasks-per-node"], train["gpus-per-node"]) == ("64", "1", "8")
    assert train["cpus-per-task"] == "64"
    assert "array" not in train
    sign = directives(plan.task("github_code/sign"), CLUSTER, plan.experiment)
    assert (sign["partition"], sign["time"], sign["mem"]) == ("cpu", "120", "8000M")
    assert (sign["cpus-per-task"], sign["nodes"]) == ("4", "1")
    assert sign["array"] == "0-4095%50"
    assert "gpus-per-node" not in sign
    assert (sign["account"], sign["mail-type"]) == ("lab", "FAIL")
    assert "qos" not in sign
    assert "constraint" not in sign


def test_an_array_is_throttled_only_if_asked(full_scale: dict[str, Plan]) -> None:
    """0 means all at once."""
    task = full_scale["8b"].task("github_code/sign")
    assert directives(task, Profile(), "x")["array"] == "0-4095"


def test_the_profile_has_the_last_word(mini_plan: Plan) -> None:
    """A directive by name replaces the one that follows from the task."""
    task = mini_plan.task("code/sign")
    profile = Profile(sbatch={"time": "5", "job-name": "mine", "exclusive": "user"})
    found = directives(task, profile, "x")
    assert (found["time"], found["job-name"], found["exclusive"]) == ("5", "mine", "user")


@pytest.mark.parametrize(
    ("experiment", "task", "name"),
    [
        ("mini", "code/sign", "mini.code-sign"),
        ("mini run", "code/deduplicate#2/edges", "mini-run.code-deduplicate-2-edges"),
        ("a;rm -rf $HOME", "x", "a-rm--rf-HOME.x"),
        ("naïve — 漢", "x", "na-ve-.x"),
        ("x" * 200, "y", "x" * 100),
    ],
)
def test_job_names_are_plain(experiment: str, task: str, name: str) -> None:
    """Slurm and the shells after it have broken on less."""
    assert job_name(experiment, task) == name


def weird(task: Task) -> Task:
    return attrs.evolve(task, id='it\'s "a" $(task)/`x`')


def test_a_script_hands_the_task_over_as_it_is_called(mini_plan: Plan, tmp_path: Path) -> None:
    """Run by a shell, whatever is in the name, with the shard that Slurm gives or the first."""
    task = weird(mini_plan.task("code/sign"))
    echo = tmp_path / "echo"
    echo.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    echo.chmod(0o755)
    script = sbatch_script(task, Profile(python=str(echo)), mini_plan.experiment)
    for environment, shard in (({}, "0"), ({"SLURM_ARRAY_TASK_ID": "7"}, "7")):
        shell = {"PATH": "/usr/bin:/bin", "OCSPEC_STORE": "/a store", **environment}
        done = subprocess.run(["bash"], input=script, env=shell, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == [
            "-m", "runtime.worker", "plan.json", task.id, shard, "--store", "/a store",
        ]  # fmt: skip


def test_every_script_is_valid_bash(full_scale: dict[str, Plan], mini_plan: Plan) -> None:
    """All in one go; the headers are what sbatch reads: they come first, each on its line."""
    scripts = [
        sbatch_script(task, CLUSTER, plan.experiment) for plan in (mini_plan, full_scale["8b"]) for task in plan.tasks
    ]
    subprocess.run(["bash", "-n"], input="\n".join(scripts), text=True, check=True)
    for script in scripts:
        lines = script.splitlines()
        headers = [line for line in lines if line.startswith("#SBATCH")]
        assert lines[0] == "#!/bin/bash"
        assert lines[1 : 1 + len(headers)] == headers
        assert all(re.fullmatch(r"#SBATCH --[a-z-]+(=\S+)?", line) for line in headers)
