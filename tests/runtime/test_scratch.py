"""Temporary files of workers: fresh, removed whatever happens, and never those of a worker that lives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compiler.errors import UserError
from runtime.scratch import scratch_directory
from tests.runtime.conftest import Workbench

KILLED = """
import os, pathlib, signal
from runtime.scratch import scratch_directory
from tests.runtime.conftest import Workbench
with scratch_directory(pathlib.Path("unused")) as path:
    (path / "spill").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("said", [{}, {"OCSPEC_SCRATCH": ""}])
def test_beside_the_output_where_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: dict[str, str]
) -> None:
    """As an empty variable says nothing."""
    monkeypatch.delenv("OCSPEC_SCRATCH", raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    with scratch_directory(tmp_path / "here") as path:
        assert path == tmp_path / "here"
        assert list(path.iterdir()) == []
    assert not path.exists()


def test_a_fresh_one_for_each_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several at once on a node; also after a failure."""
    root = tmp_path / "not" / "there yet [x]"
    monkeypatch.setenv("OCSPEC_SCRATCH", str(root))
    with scratch_directory(tmp_path / "a") as one, scratch_directory(tmp_path / "b") as other:
        assert one.parent == other.parent == root
        assert one.is_dir() and other.is_dir() and one != other
        (one / "spill").mkdir()
    with pytest.raises(RuntimeError), scratch_directory(tmp_path / "a"):
        raise RuntimeError
    assert list(root.iterdir()) == []
    assert not (tmp_path / "a").exists()


def test_what_a_killed_worker_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is not a worker's stays."""
    monkeypatch.setenv("OCSPEC_SCRATCH", str(tmp_path))
    subprocess.run([sys.executable, "-c", KILLED], check=False, env={**os.environ, "OCSPEC_SCRATCH": str(tmp_path)})
    left = list(tmp_path.glob("*/spill"))
    assert len(left) == 1
    (tmp_path / "mine").write_text("x")
    with scratch_directory(tmp_path / "unused"):
        assert not left[0].exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_scratch_that_cannot_be_written_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is, and what to change."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OCSPEC_SCRATCH", str(tmp_path / "file" / "x"))
    with pytest.raises(UserError, match="scratch cannot be written") as error, scratch_directory(tmp_path / "unused"):
        pass
    assert error.value.where == str(tmp_path / "file" / "x")
    assert "profile" in error.value.fix


def test_a_worker_keeps_its_temporary_files_there(workbench: Workbench) -> None:
    """Where it cannot, it says so before it works; where it can, it leaves nothing."""
    _, path = workbench.compile()
    command = [
        sys.executable,
        "-m",
        "runtime.worker",
        str(path),
        "code/sign",
        "0",
        "--store",
        str(workbench.store.root),
    ]

    def work(scratch: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "OCSPEC_SCRATCH": scratch}
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=6000, check=False)

    refused = work("/dev/null/scratch")
    assert refused.returncode == 1
    assert "/dev/null/scratch: scratch cannot be written (Not a directory)" in refused.stderr
    assert "Traceback" not in refused.stderr
    root = path.parent / "scratch root"
    done = work(str(root))
    assert done.returncode == 0, done.stderr
    assert root.is_dir() and list(root.iterdir()) == []
