"""sbatch scripts: directives from a task and a profile, and text that a shell and Slurm take."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.emit.sbatch import (
    directives,
    header,
    job_name,
    request,
    sbatch_script,
    setup_lines,
    shell_command,
    srun_arguments,
)
from compiler.plan import Plan, Resources, Task
from compiler.profile import Container, Profile, Settings

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
        "train": Settings(partition="gpu", minutes=2880),
        "data": Settings(cpus=4, memory_mb=8000),
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
    assert (train["nodes"], train["ntasks-per-node"], train["gpus-per-node"]) == ("64", "8", "8")
    assert train["cpus-per-task"] == "8"
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


def test_the_profiles_own_options_are_added(mini_plan: Plan) -> None:
    """Beside those that follow from the task; a class's go before the profile's."""
    task = mini_plan.task("code/sign")
    own = {"exclusive": "user", "mail_type": "FAIL"}
    profile = Profile(sbatch=own, classes={"data": Settings(sbatch={"mail-type": "END"})})
    added = {"exclusive": "user", "mail-type": "END"}
    assert directives(task, profile, "x") == {**directives(task, Profile(), "x"), **added}


def test_training_on_nodes_of_one_gpu_starts_on_each_of_them(full_scale: dict[str, Plan]) -> None:
    """One rank for each node: the batch script alone would run on the first of them."""
    task = full_scale["8b"].task("pretrain/train")
    four = attrs.evolve(task, resources=Resources(task_class="train", cpus=8, gpus=4))
    lines = sbatch_script(four, Profile(gpus_per_node=1), "x").splitlines()
    assert {"#SBATCH --nodes=4", "#SBATCH --ntasks-per-node=1", "#SBATCH --gpus-per-node=1"} <= set(lines)
    assert lines[-1].startswith("srun --cpus-per-task=2 --kill-on-bad-exit=1 python -m runtime.worker plan.json")
    alone = attrs.evolve(task, resources=Resources(task_class="train", cpus=8, gpus=1))
    assert "srun" not in sbatch_script(alone, Profile(gpus_per_node=1), "x")


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


TRAINING = Resources(task_class="train", cpus=64, memory_mb=512_000, gpus=8, nodes=64)


@pytest.mark.parametrize(
    ("asked", "settings", "nodes", "ranks", "cpus", "mem", "gpus"),
    [
        (TRAINING, Settings(), 64, 8, 8, "512000M", 8),
        (TRAINING, Settings(gpus_per_node=4), 128, 4, 8, "256000M", 4),
        (TRAINING, Settings(gpus_per_node=4, cpus=72, memory_mb=100_000), 128, 4, 18, "100000M", 4),
        (attrs.evolve(TRAINING, gpus=6, nodes=1), Settings(gpus_per_node=4), 2, 3, 10, "256000M", 3),
        (attrs.evolve(TRAINING, gpus=2, nodes=1), Settings(gpus_per_node=8), 1, 2, 32, "512000M", 2),
        (attrs.evolve(TRAINING, gpus=1, nodes=1), Settings(gpus_per_node=8), 1, 1, 64, "512000M", 1),
        (attrs.evolve(TRAINING, gpus=0, nodes=1), Settings(gpus_per_node=8), 1, 1, 64, "512000M", None),
        (Resources(task_class="eval", cpus=8, gpus=2), Settings(), 1, 1, 8, "2048M", 2),
        (Resources(cpus=3), Settings(gpus_per_node=8), 1, 1, 3, "2048M", None),
    ],
)
def test_a_rank_for_each_device(
    asked: Resources, settings: Settings, nodes: int, ranks: int, cpus: int, mem: str, gpus: int | None
) -> None:
    """On nodes that have as many as the profile says; processors of a node are shared by its ranks."""
    options = request(asked, settings)
    assert (options["nodes"], options["ntasks_per_node"], options["cpus_per_task"]) == (nodes, ranks, cpus)
    assert (options["mem"], options.get("gpus_per_node")) == (mem, gpus)


@given(st.integers(1, 16), st.integers(1, 64), st.none() | st.integers(1, 16))
def test_no_device_is_lost_on_the_way(gpus: int, nodes: int, per_node: int | None) -> None:
    """However many a node has: the world that the plan trains in stays as large as it was."""
    options = request(attrs.evolve(TRAINING, gpus=gpus, nodes=nodes), Settings(gpus_per_node=per_node))
    assert options["nodes"] * options["gpus_per_node"] == gpus * nodes
    assert options["gpus_per_node"] <= (per_node or gpus)
    assert options["ntasks_per_node"] == options["gpus_per_node"]


NASTY = ["it's", 'a "b"', "$HOME", "`id`", "$(id)", "a b", "ü漢", "*", "\\", "!", "-n", "#", ";", "~"]


def run_shell(lines: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    shell = {"PATH": "/usr/bin:/bin", "HOME": "/h", **environment}
    return subprocess.run(["bash"], input="\n".join(lines), env=shell, capture_output=True, text=True, check=False)


def variables(lines: list[str], names: list[str], **environment: str) -> list[str]:
    done = run_shell([*lines, *(f'printf "%s\\0" "${name}"' for name in names)], **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\0")[:-1]


def test_variables_reach_the_worker_as_they_are_written(tmp_path: Path) -> None:
    """Whatever is in them; a secret is read on the node, and is in no line."""
    secret = tmp_path / 'it\'s "my" $key'
    secret.write_text("hf_$x'y\n")
    plain = {f"V{n}": value for n, value in enumerate(NASTY)}
    settings = Settings(environment={**plain, "HF_TOKEN": f"file:{secret}", "KEY": "env:KEY"})
    lines = setup_lines(3, settings)
    assert variables(lines, [*plain, "HF_TOKEN", "OMP_NUM_THREADS"]) == [*NASTY, "hf_$x'y", "3"]
    assert "hf_" not in "\n".join(lines)
    assert "KEY" not in "\n".join(lines).replace("$key", "")


@pytest.mark.parametrize("content", [None, ""])
def test_a_secret_that_is_not_there_ends_the_job(tmp_path: Path, content: str | None) -> None:
    """With one message, before the worker starts."""
    if content is not None:
        (tmp_path / "key").write_text(content)
    lines = setup_lines(1, Settings(environment={"HF_TOKEN": f"file:{tmp_path}/key"}))
    done = run_shell([*lines, "echo worked"])
    assert (done.returncode, done.stdout) == (1, "")
    assert f"error: HF_TOKEN: {tmp_path}/key cannot be read here, or is empty" in done.stderr


@pytest.mark.parametrize(
    ("scratch", "expanded"),
    [
        ("/local", "/local"),
        ("$TMPDIR", "/t m"),
        ("/local/$USER/${JOB}x", "/local/me/7x"),
        ("/it's `id` $(id) \"\\", "/it's `id` $(id) \"\\"),
    ],
)
def test_scratch_may_name_variables_of_the_node(scratch: str, expanded: str) -> None:
    """Job ids and node-local directories are known there alone; nothing else is expanded."""
    lines = setup_lines(1, Settings(scratch=scratch))
    assert variables(lines, ["OCSPEC_SCRATCH"], USER="me", JOB="7", TMPDIR="/t m") == [expanded]


def test_scratch_that_names_a_variable_which_is_not_set_ends_the_job() -> None:
    """Otherwise /$USER would be the root of the disk."""
    done = run_shell([*setup_lines(1, Settings(scratch="/local/$NOWHERE")), "echo worked"])
    assert done.returncode != 0
    assert done.stdout == ""
    assert "NOWHERE" in done.stderr


def test_waiting_threads_sleep_unless_the_profile_says_else() -> None:
    """OpenMP's threads keep a processor busy while they wait."""
    assert variables(setup_lines(1, Settings()), ["OMP_WAIT_POLICY"]) == ["PASSIVE"]
    assert variables(setup_lines(1, Settings()), ["OMP_WAIT_POLICY"], OMP_WAIT_POLICY="ACTIVE") == ["ACTIVE"]
    settings = Settings(environment={"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "ACTIVE"})
    assert variables(setup_lines(8, settings), ["OMP_NUM_THREADS", "OMP_WAIT_POLICY"]) == ["1", "ACTIVE"]


def test_a_module_that_cannot_be_loaded_ends_the_job() -> None:
    """Loaded in their order, before the profile's own lines."""
    fake = 'module() { echo "$@"; [ "$2" != bad ]; }'
    lines = setup_lines(1, Settings(modules=("gcc/12", "a b"), setup=("echo mine",)))
    assert run_shell([fake, *lines]).stdout.splitlines() == ["load gcc/12", "load a b", "mine"]
    done = run_shell([fake, *setup_lines(1, Settings(modules=("bad", "gcc"), setup=("echo mine",)))])
    assert (done.returncode, done.stdout) == (1, "load bad\n")


ARGV = ["-u", "-m", "runtime.node", "/a 'store'/x.json"]


@pytest.mark.parametrize(
    ("settings", "command"),
    [
        (Settings(), ["/here/python", *ARGV]),
        (Settings(python="/my $env/python"), ["/my $env/python", *ARGV]),
        (Settings(container=Container(kind="pyxis", image="/images/nemo.sqsh")), ["python", *ARGV]),
        (
            Settings(
                container=Container(
                    kind="apptainer", image="/i s/a.sif", mounts=("/data", "/a:/b:ro"), options=("--cleanenv",)
                )
            ),
            [
                *["apptainer", "exec", "--nv", "--bind", "/data:/data", "--bind", "/a:/b:ro", "--cleanenv"],
                "/i s/a.sif",
                "python",
                *ARGV,
            ],
        ),
    ],
)
def test_the_command_of_a_worker(settings: Settings, command: list[str]) -> None:
    """As a shell takes it apart."""
    line = shell_command(settings, ARGV, "/here/python")
    assert run_shell([f'printf "%s\\n" {line}']).stdout.splitlines() == command


def test_pyxis_is_an_argument_of_srun() -> None:
    """And nothing else is."""
    container = Container(kind="pyxis", image="a b", mounts=("/data", "/a:/b"), options=("--no-container-mount-home",))
    assert srun_arguments(Settings(container=container)) == [
        "--container-image=a b",
        "--container-mounts=/data:/data,/a:/b",
        "--no-container-mount-home",
    ]
    assert srun_arguments(Settings()) == []
    assert srun_arguments(Settings(container=attrs.evolve(container, kind="apptainer"))) == []


@pytest.mark.parametrize("kind", ["none", "pyxis", "apptainer"])
def test_a_script_of_hostile_values_is_valid_bash(full_scale: dict[str, Plan], kind: str) -> None:
    """Every text of a profile may hold blanks, quotes and signs of the shell."""
    nasty = " ".join(NASTY)
    profile = Profile(
        partition=nasty,
        account=nasty,
        python=nasty,
        modules=(nasty,),
        container=Container(kind=kind, image=nasty, mounts=(nasty,), options=(nasty,)),
        environment={"A": nasty, "B": f"file:/{nasty}"},
        scratch=f"/{nasty}",
        sbatch={"mail-user": nasty},
    )
    plan = full_scale["8b"]
    for name in ("pretrain/train", "github_code/sign"):
        script = sbatch_script(weird(plan.task(name)), profile, nasty)
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        lines = script.splitlines()
        assert lines[1].startswith("#SBATCH")
        assert lines.index("set -eo pipefail") == sum(line.startswith("#SBATCH") for line in lines) + 1


def test_a_header_is_quoted_as_sbatch_reads_it() -> None:
    """An empty value is a flag."""
    assert header({"exclusive": "", "nice": "3", "comment": "a b"}) == [
        "#SBATCH --exclusive",
        "#SBATCH --nice=3",
        "#SBATCH --comment='a b'",
    ]
