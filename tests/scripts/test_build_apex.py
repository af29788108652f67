"""The build of NVIDIA Apex refuses early, with one message, whatever would make it fail late.

The compilers are not run: a directory stands in for the checkout, one for CUDA's toolkit, and a module for a torch with
CUDA. That what it builds loads was tried by hand (docs/how-to/apex.md).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "build_apex.sh"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a checkout of Apex is known by."""
    source = tmp_path / "source" / "csrc"
    source.mkdir(parents=True)
    (source / "multi_tensor_adam.cu").write_text("")
    (source.parent / "setup.py").write_text("raise SystemExit('nothing is to be built here')\n")
    return source.parent


def toolkit(directory: Path, release: str) -> Path:
    """A CUDA toolkit whose compiler says of which release it is."""
    for name in ("bin", "include"):
        (directory / name).mkdir(parents=True)
    for header in ("cuda_runtime.h", "cublas_v2.h"):
        (directory / "include" / header).write_text("")
    nvcc = directory / "bin" / "nvcc"
    nvcc.write_text(f"#!/bin/sh\necho 'Cuda compilation tools, release {release}, V{release}.88'\n")
    nvcc.chmod(0o755)
    return directory


def cuda_torch(directory: Path, cuda: str | None, capabilities: tuple[tuple[int, int], ...] = ()) -> Path:
    """A torch that was built for a CUDA version, and sees devices of these capabilities."""
    (directory / "torch").mkdir(parents=True)
    (directory / "torch" / "__init__.py").write_text(
        f"from types import SimpleNamespace as S\n__version__ = '2.13.0'\nversion = S(cuda={cuda!r})\n"
        f"found = {capabilities!r}\n"
        "cuda = S(device_count=lambda: len(found), get_device_capability=lambda number: found[number])\n"
    )
    return directory


def build(*arguments: str | Path, torch: Path | None = None, **environment: str | Path) -> tuple[int, str]:
    """The exit code and everything that was said."""
    environ = {name: value for name, value in os.environ.items() if name not in {"CUDA_HOME", "TORCH_CUDA_ARCH_LIST"}}
    environ |= {"PYTHONPATH": str(torch or "")} | {name: str(value) for name, value in environment.items()}
    command = ["sh", str(SCRIPT), "--check", "--python", sys.executable, *map(str, arguments)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stdout + done.stderr


def refused(said: tuple[int, str]) -> str:
    """The one message, which says what to do."""
    code, text = said
    assert code == 1
    assert text.startswith("error: ") and text.count("error: ") == 1 and "\n  fix: " in text
    return text


def test_it_builds_where_everything_fits(checkout: Path, tmp_path: Path) -> None:
    """For the devices of the machine, each capability once."""
    torch = cuda_torch(tmp_path / "site", "13.0", ((9, 0), (8, 0), (9, 0)))
    code, text = build(checkout, torch=torch, CUDA_HOME=toolkit(tmp_path / "cuda", "13.0"), MAX_JOBS="6")
    assert code == 0, text
    assert f"for torch 2.13.0, CUDA 13.0 in {tmp_path}/cuda, compute capability 8.0;9.0, 6 at a time" in text


def test_a_toolkit_behind_a_link_is_found_by_its_compiler(checkout: Path, tmp_path: Path) -> None:
    """As /usr/local/bin/nvcc often is one."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvcc").symlink_to(toolkit(tmp_path / "cuda", "13.0") / "bin" / "nvcc")
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    code, text = build(checkout, torch=cuda_torch(tmp_path / "site", "13.0"), PATH=path, TORCH_CUDA_ARCH_LIST="9.0")
    assert code == 0, text
    assert f"CUDA 13.0 in {tmp_path}/cuda" in text


@pytest.mark.parametrize(
    ("cuda", "release", "words"),
    [
        (None, "13.0", "built without CUDA"),
        ("12.6", "13.0", "is of CUDA 13.0, torch 2.13.0 of CUDA 12.6"),
        ("13.0", "13.0", "torch sees no CUDA device here"),
        ("13.0", "", "bin/nvcc"),
    ],
)
def test_torch_and_compiler_must_fit(
    checkout: Path, tmp_path: Path, cuda: str | None, release: str, words: str
) -> None:
    """No CUDA in torch, another CUDA's compiler, nothing to say for which devices, no compiler."""
    home = toolkit(tmp_path / "cuda", release) if release else tmp_path / "none"
    assert words in refused(build(checkout, torch=cuda_torch(tmp_path / "site", cuda), CUDA_HOME=home))


def test_what_is_no_checkout_is_refused(tmp_path: Path) -> None:
    """PyPI's apex, unpacked, has a setup.py, too."""
    (tmp_path / "setup.py").write_text("")
    assert "is no checkout of NVIDIA Apex" in refused(build(tmp_path))
    assert "not 0" in refused(build())


def test_an_interpreter_without_torch_is_refused(checkout: Path, tmp_path: Path) -> None:
    """With what it said itself."""
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    assert "cannot import torch: ModuleNotFoundError" in refused(build("--python", bare, checkout))
    assert "there is no interpreter" in refused(build("--python", tmp_path / "nowhere", checkout))


def test_another_projects_apex_must_go_first(checkout: Path, tmp_path: Path) -> None:
    """pip would put NVIDIA's in its place without a word, or leave both."""
    torch = cuda_torch(tmp_path / "site", "13.0")
    facts = torch / "apex-0.9.10.dev0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: apex\nVersion: 0.9.10.dev0\nSummary: Pyramid toolkit\n"
    )
    said = refused(build(checkout, torch=torch, CUDA_HOME=toolkit(tmp_path / "cuda", "13.0")))
    assert "another project's package called apex is installed: 0.9.10.dev0 Pyramid toolkit" in said
