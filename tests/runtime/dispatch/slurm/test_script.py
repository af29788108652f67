"""What sbatch is given: options, and a batch script that is valid shell whatever is in its paths."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import attrs
import pytest

from compiler.plan import Resources
from compiler.profile import Container, Profile, Settings
from runtime.dispatch.slurm import submission
from runtime.dispatch.slurm.labels import Label
from runtime.dispatch.slurm.script import Request, parameters, teardown

LABEL = Label("run", "t", "0a000001")


def asked(directory: Path = Path("/logs"), settings: Settings | None = None, **changes) -> Request:
    given = {
        "label": LABEL,
        "asked": Resources(cpus=2, memory_mb=1500),
        "settings": settings or Profile().settings("data"),
        "argv": ("-u", "-m", "runtime.node", str(directory / "0a000001.json")),
        "logs": directory / "logs",
        "elements": 3,
        "markers": directory / "again",
    }
    return Request(**{**given, **changes})


@pytest.fixture
def srun(tmp_path, monkeypatch) -> Path:
    """A directory on PATH with programs of Slurm's, for a machine that has none; submitit looks for srun."""
    programs = tmp_path / "programs"
    programs.mkdir()
    if shutil.which("srun") is None:
        (programs / "srun").write_text("#!/bin/sh\n")
        (programs / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return programs


def test_the_batch_script_says_what_the_job_needs(tmp_path, srun):
    """An array with its throttle, the class's settings, the mark of the run in name and comment."""
    profile = Profile(
        partition="main",
        account="us",
        max_parallel_shards=2,
        classes={"data": Settings(partition="big", minutes=7, memory_mb=9000)},
        sbatch={"exclusive": "", "nice": "3"},
    )
    lines = submission.text(asked(tmp_path, profile.settings("data"), dependency="afterok:7")).splitlines()
    wanted = {
        **{"array": "0-2%2", "time": "7", "mem": "9000M", "cpus-per-task": "2", "partition": "big", "account": "us"},
        **{"kill-on-invalid-dep": "yes", "nice": "3", "job-name": LABEL.text, "comment": LABEL.text},
        **{"dependency": "afterok:7", "signal": "USR2@90"},
    }
    assert [name for name, value in wanted.items() if f"#SBATCH --{name}={value}" not in lines] == []
    assert {"#SBATCH --exclusive", "#SBATCH --requeue"} <= set(lines)
    assert "gpus" not in "".join(lines)


def test_one_job_is_no_array(tmp_path, srun):
    """Of one element; and without a dependency there is none."""
    text = submission.text(asked(tmp_path, elements=0))
    assert "--array" not in text
    assert "--dependency" not in text


HOSTILE = """it's a $(touch owned) "place" `touch owned`;ü &"""


def test_a_batch_script_is_valid_shell(tmp_path, srun):
    """Paths with blanks, quotes and commands do not break out of it: the node's entry gets them as they are."""
    directory = tmp_path / HOSTILE
    directory.mkdir()
    text = submission.text(asked(directory))
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    (srun / "srun").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    (srun / "srun").chmod(0o755)
    said = subprocess.run(["bash"], input=text, cwd=tmp_path, capture_output=True, text=True, check=True)
    arguments = said.stdout.splitlines()
    assert arguments[-4:] == ["-u", "-m", "runtime.node", str(directory / "0a000001.json")]
    assert str(directory / "logs" / "%A_%a_%t_log.out") in arguments
    assert list(tmp_path.rglob("owned")) == []


def test_one_rank_for_each_gpu_of_training(tmp_path, srun):
    """Their processors are shared out, and the first that fails ends them all; anything else is one task."""
    four = Resources(task_class="train", cpus=8, gpus=2, nodes=2)
    train = parameters(asked(tmp_path, asked=four))
    assert [train[name] for name in ("nodes", "ntasks_per_node", "cpus_per_task", "gpus_per_node")] == [2, 2, 4, 2]
    assert train["srun_args"] == ["--cpus-per-task=4", "--export=ALL", "--kill-on-bad-exit=1"]
    for other in (attrs.evolve(four, task_class="eval"), Resources(task_class="train", cpus=8, gpus=1)):
        found = parameters(asked(tmp_path, asked=other))
        assert found["ntasks_per_node"] == 1
        assert found["srun_args"] == ["--nodes=1", "--ntasks=1", "--cpus-per-task=8", "--export=ALL"]


def test_a_container_is_where_the_node_runs(tmp_path, srun):
    """The batch script, which queues the job again, is outside of it."""
    box = Container(kind="apptainer", image="/images/a b.sif", mounts=("/data",))
    lines = submission.text(asked(tmp_path, Settings(container=box))).splitlines()
    (command,) = [line for line in lines if "runtime.node" in line]
    assert "apptainer exec --nv --bind /data:/data '/images/a b.sif' python -u -m runtime.node" in command
    pyxis = Container(kind="pyxis", image="img")
    assert "--container-image=img" in parameters(asked(tmp_path, Settings(container=pyxis)))["srun_args"]


@pytest.mark.parametrize(
    ("task_class", "minutes", "seconds"),
    [("data", 1, 15), ("data", 600, 90), ("train", 1, 15), ("train", 20, 300), ("train", 600, 300)],
)
def test_a_short_job_is_not_signalled_at_its_start(task_class, minutes, seconds):
    """Long enough before the end to save, and after the beginning."""
    request = asked(settings=Settings(minutes=minutes), asked=Resources(task_class=task_class))
    assert parameters(request)["signal_delay_s"] == seconds


# -- the lines after the step

SCONTROL = """#!/bin/sh
echo "$@" >> "$CALLS"
[ "$1" = show ] && echo "JobId=7 JobName=x
   JobState=$STATE Reason=None"
exit 0
"""


@pytest.fixture
def after(tmp_path):
    """Run the lines after a step that ended with a code; the exit code of the script and the calls of scontrol."""
    (tmp_path / "programs").mkdir()
    for name, text in (("scontrol", SCONTROL), ("sleep", "#!/bin/sh\n")):
        (tmp_path / "programs" / name).write_text(text)
        (tmp_path / "programs" / name).chmod(0o755)
    markers, calls = tmp_path / "a 'b'", tmp_path / "calls"
    markers.mkdir()

    def after(code: int, marker: str = "", state: str = "RUNNING", **environ: str) -> tuple[int, list[str]]:
        calls.write_text("")
        for old in markers.iterdir():
            old.unlink()
        if marker:
            (markers / marker).touch()
        done = subprocess.run(
            ["bash"],
            input="\n".join([f"(exit {code})", *teardown(markers)]),
            env={
                "PATH": f"{tmp_path / 'programs'}:{os.environ['PATH']}",
                "CALLS": str(calls),
                "STATE": state,
                "SLURM_JOB_ID": "7",
                **environ,
            },
            text=True,
            check=False,
        )
        return done.returncode, calls.read_text().splitlines()

    return after


@pytest.mark.parametrize("code", [0, 1, 75, 137])
def test_without_a_marker_the_exit_code_is_passed_on(after, code):
    """And Slurm is not asked anything."""
    assert after(code) == (code, [])
    assert after(code, marker="0.1") == (code, [])  # of another attempt
    assert after(code, marker="1.0") == (code, [])  # of another element


def test_with_a_marker_the_job_is_queued_again(after):
    """Once; an element of an array alone, although it may have the id of the whole array."""
    assert after(75, marker="0.0") == (75, ["show job 7", "requeue 7"])
    array = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}
    assert after(75, marker="3.2", SLURM_RESTART_COUNT="2", **array) == (75, ["show job 7_3", "requeue 7_3"])


@pytest.mark.parametrize("state", ["CANCELLED", "COMPLETING", "TIMEOUT", "PREEMPTED"])
def test_a_job_that_was_ended_is_left_alone(after, state):
    """Cancelled while it stopped: whoever cancelled it does not want it again."""
    assert after(75, marker="0.0", state=state) == (75, ["show job 7"])


@pytest.mark.parametrize("code", [1, 101, 137])
def test_a_rank_that_failed_outweighs_the_marker(after, code):
    """srun ends the first rank when another one fails, and that takes it for a preemption."""
    assert after(code, marker="0.0") == (code, [])
