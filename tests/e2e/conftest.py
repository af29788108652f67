"""A small project in a directory of its own, and the real command line run in it. It knows no experiment's meaning."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.forked import Forked

SPEC = """\
from ocspec import *

source = Directory(name="files", path="repositories")
code = Dataset(name="code", sources=(source,), steps=(Admit(),))
mixture = Mixture(parts=(Part(dataset="code", weight=1),))
pretrain = Pretrain(
    name="pretrain",
    mixture=mixture,
    batches=(Batches(steps=2, global_batch=2, sequence_length=32),),
    schedule=WSD(peak=1e-3, warmup_steps=1),
)
experiment = Experiment(
    name="small",
    data=(code,),
    tokenizer=TrainedBPE(vocab_size=270, sample_bytes=20_000),
    model=Transformer(
        num_layers=1, hidden_size=16, intermediate_size=32, num_heads=2, num_kv_heads=1, max_positions=64
    ),
    curriculum=Curriculum(stages=(pretrain,)),
)
"""
TOP = Path(__file__).parents[2]


class Result(NamedTuple):
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """Each `error:` with the indented lines below it, without the word."""
        found: list[str] = []
        for line in self.err.splitlines():
            if line.startswith("error: "):
                found.append(line.removeprefix("error: "))
            elif line.startswith("  ") and found:
                found[-1] += f"\n{line}"
        return found


class Project:
    """`spec.py` and its data in one directory, which is the working directory of every command."""

    def __init__(self, root: Path, forked: Forked | None = None) -> None:
        """With `forked`, commands run in processes forked from it instead of fresh ones."""
        self.root = root
        self.forked = forked
        self.store = root / ".ocspec"
        self.plan = root / "build" / "small" / "plan.json"

    def write_repositories(self) -> None:
        """Two repositories of four modules each."""
        for repository in ("alpha", "beta"):
            for number in range(4):
                self.write(f"repositories/{repository}/m{number}.py", module(f"{repository}_{number}"))

    def write(self, name: str, content: str | bytes) -> Path:
        """A file below the project's directory."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def write_spec(self, *edits: tuple[str, str]) -> None:
        """The small spec with some texts replaced; each must be there."""
        text = SPEC
        for old, new in edits:
            assert old in text, old
            text = text.replace(old, new)
        self.write("spec.py", text)

    def line(self, text: str) -> int:
        """The number of the one line of the spec that holds a text."""
        lines = (self.root / "spec.py").read_text().splitlines()
        (number,) = [number for number, line in enumerate(lines, start=1) if text in line]
        return number

    def ocspec(self, *argv: str, **environment: str) -> Result:
        """Run the command line."""
        env = {**os.environ, "PYTHONPATH": str(TOP), "COLUMNS": "80", "NO_COLOR": "1", **environment}
        env.pop("OCSPEC_STORE", None)
        env.pop("OCSPEC_TRACEBACK", None)
        done = self._run(list(argv), env)
        return Result(done.returncode, done.stdout, done.stderr)

    def _run(self, argv: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        if self.forked is not None:
            return self.forked.run("ocspec.cli", argv, self.root, env)
        command = [sys.executable, "-m", "ocspec.cli", *argv]
        return subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, timeout=900, check=False)

    def compile(self) -> Result:
        """`ocspec compile spec.py`."""
        return self.ocspec("compile", "spec.py")

    def submit(self, *argv: str) -> Result:
        """`ocspec submit --inline` of what is compiled."""
        return self.ocspec("submit", "--inline", *argv)


def module(name: str) -> str:
    """Forty assignments of which none is like another, as a filter for repetition wants it."""
    letters, first = str.maketrans("0123456789", "abcdefghij"), zlib.crc32(name.encode())
    words = [str(first + number * 7919).translate(letters) for number in range(120)]
    lines = zip(words[:40], words[40:80], words[80:], strict=True)
    return "".join(f"{word} = {function}({argument})\n" for word, function, argument in lines)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose spec compiles and runs."""
    project = Project(tmp_path)
    project.write_repositories()
    project.write_spec()
    return project
