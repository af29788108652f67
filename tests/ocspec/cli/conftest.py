"""A tiny experiment that needs no network, run once, and a way to call the command line in this process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from ocspec.cli import main

SPEC = """\
from ocspec import *

code = Dataset(
    name="code",
    sources=(Directory(name="library", path="repositories"),),
    steps=(Admit(languages=("python",)), Deduplicate(granularity="file"), Redact()),
)
experiment = Experiment(
    name="tiny",
    data=(code,),
    hold_out=HoldOut(repositories=("beta",)),
    tokenizer=TrainedBPE(vocab_size=300),
    model=Transformer(
        num_layers=1, hidden_size=32, intermediate_size=64, num_heads=2, num_kv_heads=1, max_positions=32
    ),
    curriculum=Curriculum(
        stages=(
            Pretrain(
                name="pretrain",
                mixture=Mixture(parts=(Part(dataset="code", weight=1),)),
                batches=(Batches(steps=3, global_batch=2, sequence_length=32),),
                schedule=WSD(peak=1e-3, warmup_steps=2),
            ),
            Anneal(
                name="anneal",
                mixture=Mixture(parts=(Part(dataset="code", weight=1),)),
                batches=(Batches(steps=2, global_batch=2, sequence_length=32),),
                schedule=Decay(end=1e-5),
            ),
        )
    ),
    evaluations=(BitsPerByte(stages=("anneal",), max_bytes=2000),),
)
"""


class Result(NamedTuple):
    """What a command line did."""

    code: int
    out: str
    err: str


Ocspec = Callable[..., Result]


def write_spec(directory: Path) -> Path:
    """tiny.py and, beside it, two repositories of small modules of the standard library."""
    library = Path(sysconfig.get_paths()["stdlib"])
    modules = sorted(path for path in library.glob("*.py") if 2_000 < path.stat().st_size < 30_000)[:30]
    assert len(modules) == 30
    for number, module in enumerate(modules):
        repository = directory / "repositories" / ("alpha" if number % 4 else "beta")
        repository.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module, repository / module.name)
    spec = directory / "tiny.py"
    spec.write_text(SPEC)
    return spec


def environment() -> dict[str, str]:
    """This process's environment without what changes how output looks or where the store is."""
    changing = ("OCSPEC_STORE", "OCSPEC_TRACEBACK", "NO_COLOR", "FORCE_COLOR")
    return {**{k: v for k, v in os.environ.items() if k not in changing}, "COLUMNS": "80", "TERM": "xterm"}


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 columns and nothing else from outside."""
    for name in ("OCSPEC_STORE", "OCSPEC_TRACEBACK", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def ocspec(capsys: pytest.CaptureFixture[str]) -> Ocspec:
    """Call the command line in this process."""

    def call(*argv: str) -> Result:
        capsys.readouterr()
        try:
            code = main(argv)
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The spec, freshly written, in the working directory."""
    monkeypatch.chdir(tmp_path)
    write_spec(tmp_path)
    return Path("tiny.py")


@pytest.fixture(scope="session")
def _run_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """`ocspec run` of the spec in a process of its own."""
    directory = tmp_path_factory.mktemp("cli-run")
    write_spec(directory)
    done = subprocess.run(
        [sys.executable, "-m", "ocspec.cli", "run", "tiny.py", "--inline"],
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    return directory, Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def run_result(_run_once: tuple[Path, Result]) -> Result:
    """What `ocspec run` printed."""
    return _run_once[1]


@pytest.fixture
def built(_run_once: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the working directory of a finished run, as the working directory."""
    directory, result = _run_once
    assert result.code == 0, result.err
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
