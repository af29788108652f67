"""Workers with a Python of their own: what a profile's settings become, and what is refused before anything runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import attrs
import pytest

from compiler import ir
from compiler.errors import UserErrors
from compiler.plan import Task
from compiler.profile import Container, Profile, Settings
from runtime.dispatch.base import Job
from runtime.dispatch.local import LocalDispatcher
from runtime.dispatch.workers import Worker, workers_here
from runtime.run import jobs
from tests.runtime.conftest import Workbench
from tests.runtime.test_local import drain

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second Python with nothing but the standard library."""
    directory = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(directory, with_pip=False)
    return directory / "bin" / "python"


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second Python that has what this one has, and this checkout."""
    directory = tmp_path_factory.mktemp("second") / "venv"
    venv.create(directory, with_pip=False)
    site = directory / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (site / "all.pth").write_text(f"{ROOT}\n{sysconfig.get_paths()['purelib']}\n")
    return directory / "bin" / "python"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working directory from which no Python finds this checkout by itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    yield


def tasks(workbench: Workbench, *names: str) -> list[Task]:
    plan, _ = workbench.compile()
    return [plan.task(name) for name in names]


def refused(these: list[Task], profile: Profile, environ: Mapping[str, str] = os.environ) -> list[tuple[str, str, str]]:
    """What, where and fix of each problem."""
    with pytest.raises(UserErrors) as error:
        workers_here(these, profile, environ)
    return [(problem.what, problem.where, problem.fix) for problem in error.value.problems]


def test_a_profile_that_says_nothing_gives_this_python(workbench: Workbench) -> None:
    """To each class that the tasks are of, and to no other."""
    found = workers_here(tasks(workbench, "code/sign", "pretrain/train"), Profile(), {})
    assert found == {"data": Worker(python=sys.executable), "train": Worker(python=sys.executable)}


def test_a_class_has_its_own_python_and_variables(workbench: Workbench, second: Path, tmp_path: Path) -> None:
    """Secrets are resolved; the tables of the profile and of the class are merged."""
    (tmp_path / "key").write_text("from a file\n")
    train = Settings(python=str(second), environment={"KEY": f"file:{tmp_path / 'key'}", "TOKEN": "env:MINE"})
    profile = Profile(name="two", environment={"HF_HOME": "/hf"}, classes={"train": train})
    these = tasks(workbench, "code/sign", "pretrain/train")
    found = workers_here(these, profile, {**os.environ, "MINE": "from here"})
    assert found["data"] == Worker(environment={"HF_HOME": "/hf"})
    assert found["train"].python == str(second)
    assert found["train"].environment == {"HF_HOME": "/hf", "KEY": "from a file", "TOKEN": "from here"}
    assert "from" not in repr(found["train"])


def test_workers_run_in_the_python_of_their_class(workbench: Workbench, second: Path) -> None:
    """Two shards by a second interpreter, with a variable of the profile's, one by this one."""
    plan, path = workbench.compile(shards=2)
    profile = Profile(classes={"data": Settings(python=str(second), environment={"OCSPEC_SCRATCH": str(path.parent)})})
    workers = workers_here([plan.task("code/sign")], profile, {})
    assert set(workers) == {"data"}
    dispatcher = LocalDispatcher(path, workbench.store.root, path.parent / "logs", 2, workers)
    commands = []
    start = dispatcher._start_process

    def noting(job: Job, shard: int, log: Path, variables: dict[str, str]) -> subprocess.Popen[bytes]:
        process = start(job, shard, log, variables)
        environ = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
        commands.append((process.args[0], f"OCSPEC_SCRATCH={path.parent}".encode() in environ))
        return process

    dispatcher._start_process = noting
    dispatcher.submit([job for job in jobs(plan, workbench.store) if job.task_id == "code/sign"])
    assert [event.state for event in drain(dispatcher, 2)].count("done") == 2
    assert commands == [(str(second), True)] * 2
    assert workbench.store.find(plan.task("code/sign").fingerprint) is not None


def test_a_python_that_is_not_there_is_refused(workbench: Workbench, tmp_path: Path) -> None:
    """Or is no program, or a name that PATH has not; each with its class."""
    (tmp_path / "text").write_text("no program")
    classes = {
        "data": Settings(python=str(tmp_path / ".venv-training/bin/python")),
        "group": Settings(python=str(tmp_path / "text")),
        "train": Settings(python="no-such-python-3"),
    }
    these = tasks(workbench, "code/sign", "code/deduplicate/cluster", "pretrain/train")
    absent, text, name = refused(these, Profile(name="far", classes=classes))
    assert absent == (
        f"its python, {tmp_path / '.venv-training/bin/python'}, is not there",
        "class 'data' of profile 'far'",
        "make install-training (docs/how-to/nemo.md)",
    )
    assert text[:2] == (f"its python, {tmp_path / 'text'}, cannot be run", "class 'group' of profile 'far'")
    assert name[0] == "its python, no-such-python-3, is not there"


def test_a_program_that_is_no_python_is_refused(workbench: Workbench, tmp_path: Path) -> None:
    """What it said last is shown, and one that the kernel does not start is told apart."""
    said, broken = tmp_path / "said", tmp_path / "broken"
    said.write_text("#!/bin/sh\necho 'I am a shell' >&2\nexit 3\n")
    broken.write_text("#!/no/such/shell\n")
    for file in (said, broken):
        file.chmod(0o755)
    these = tasks(workbench, "code/sign")
    assert refused(these, Profile(python=str(said)))[0][0] == f"{said} cannot run ocspec's workers: I am a shell"
    assert refused(these, Profile(python=str(broken)))[0][0].startswith(f"{broken} cannot be used: No such file")


@pytest.mark.usefixtures("elsewhere")
def test_a_python_without_ocspec_is_refused(workbench: Workbench, bare: Path) -> None:
    """The class that names it is, and only where a task is of that class."""
    profile = Profile(classes={"train": Settings(python=str(bare))})
    ((what, where, fix),) = refused(tasks(workbench, "code/sign", "pretrain/train"), profile)
    assert what.startswith(f"{bare} cannot run ocspec's workers: ") and "No module named 'runtime'" in what
    assert where == "class 'train' of profile 'local'" and "make install-training" in fix
    assert set(workers_here(tasks(workbench, "code/sign"), profile, {})) == {"data"}


def test_a_python_that_lacks_packages_is_told_which(workbench: Workbench, bare: Path, monkeypatch) -> None:
    """All that the tasks of the class load, by name."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ((what, _, fix),) = refused(tasks(workbench, "pretrain/train"), Profile(python=str(bare)))
    assert what.startswith(f"{bare} lacks ") and what.endswith("; needed by train.torch")
    for package in ("attrs" if "attrs" in what else "attr", "torch", "safetensors"):
        assert package in what
    assert "docs/how-to/nemo.md" in fix


@pytest.mark.usefixtures("elsewhere")
def test_other_code_of_ocspec_is_refused(workbench: Workbench, second: Path, tmp_path: Path, monkeypatch) -> None:
    """A copy of another version: what it makes would be kept under the names of this one's results."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for package in ("compiler", "runtime"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    metadata = copy / "ocspec-9.9.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ocspec\nVersion: 9.9\n")
    monkeypatch.setenv("PYTHONPATH", str(copy))
    ((what, _, _),) = refused(tasks(workbench, "code/sign"), Profile(python=str(second)))
    assert what.startswith(f"{second} runs another ocspec: its version is 9.9, here it is ")


@pytest.mark.skipif(find_spec("nemo") is not None, reason="this Python has NeMo")
def test_a_back_end_that_this_python_lacks_is_named(workbench: Workbench) -> None:
    """Without a profile the data environment trains, which has torch and no NeMo: said before any data is made."""
    (task,) = tasks(workbench, "pretrain/train")
    assert isinstance(task.op, ir.TrainOp)
    nemo = attrs.evolve(task, op=ir.TrainNeMo(job=attrs.evolve(task.op.job, backend="nemo")))
    for dispatch in ("local", "inline"):
        ((what, where, fix),) = refused([nemo], Profile(dispatch=dispatch))
        assert what == f"{sys.executable} lacks megatron.core, nemo; needed by train.nemo"
        assert where == "class 'train' of profile 'local'" and "docs/how-to/nemo.md" in fix


def test_what_only_slurm_can_follow_is_refused(workbench: Workbench) -> None:
    """A container, modules and lines before the worker; an empty list takes them back."""
    container = Container(kind="apptainer", image="/images/nemo.sif")
    profile = Profile(container=container, modules=("cuda",), setup=("ulimit -n 4096",))
    these = tasks(workbench, "code/sign")
    ((what, _, _),) = refused(these, profile)
    assert (
        what == "container and modules and setup can be followed on Slurm only, and this profile runs on this machine"
    )
    plain = Settings(container=Container(), modules=(), setup=())
    assert workers_here(these, attrs.evolve(profile, classes={"data": plain}), {}) == {"data": Worker()}


def test_inline_refuses_another_python_and_variables(workbench: Workbench, second: Path) -> None:
    """This process has one Python and its own environment; naming this very Python is fine."""
    these = tasks(workbench, "code/sign")
    profile = Profile(dispatch="inline", python=str(second), environment={"KEY": "env:MINE"})
    python, variables = refused(these, profile, {"MINE": "s3cret"})
    assert python[0] == f"inline tasks run in this process, whose Python is {sys.executable} and not {second}"
    assert variables[0] == "inline tasks run in this process, which is not given KEY"
    assert "s3cret" not in json.dumps([python, variables])
    assert workers_here(these, Profile(dispatch="inline", python=sys.executable), {}) == {"data": Worker()}


def test_variables_that_are_not_set_are_refused(workbench: Workbench) -> None:
    """By name, with the class."""
    ((what, where, _),) = refused(tasks(workbench, "code/sign"), Profile(environment={"A": "env:GONE"}), {})
    assert what == "the profile takes GONE from the environment, where it is not set"
    assert where == "class 'data' of profile 'local'"


def test_nothing_is_asked_of_a_plan_that_is_finished() -> None:
    """A Python that is gone keeps nobody from a report."""
    assert workers_here([], Profile(python="/no/such/python"), {}) == {}
