"""What could be on a path, made as real files: packages called apex, and modules that stand in for compiled ones.

Compiled modules need a CUDA compiler to build, so where one has to load, a Python module of its name has the function
that is looked for. Everything is imported in a process of its own, which answers in JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runtime.training.apex_package import PARTS
from runtime.training.kernels import CALLED

ROOT = Path(__file__).resolve().parents[3]


def nvidias_python(directory: Path) -> Path:
    """The files of NVIDIA's package that are looked for, without any compiled module."""
    for part in PARTS:
        file = directory / "apex" / part
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("class FusedAdam:\n    pass\n")
    (directory / "apex" / "optimizers" / "__init__.py").write_text(
        "from .fused_adam import FusedAdam\nclass FusedSGD:\n    pass\n"
    )
    (directory / "apex" / "__init__.py").write_text("")
    return directory


def empty(directory: Path) -> Path:
    """A package called apex with nothing in it."""
    (directory / "apex").mkdir(parents=True)
    (directory / "apex" / "__init__.py").write_text("")
    return directory


def pypis(directory: Path) -> Path:
    """What a wheel of the other project leaves: a package, and the facts of its distribution."""
    empty(directory)
    facts = directory / "apex-0.9.10.dev0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: apex\nVersion: 0.9.10.dev0\n"
        "Summary: Pyramid toolkit to add Velruse, Flash Messages and Sessions\nHome-page: http://apex.example\n"
    )
    (facts / "top_level.txt").write_text("apex\n")
    (facts / "RECORD").write_text("apex/__init__.py,,\n")
    return directory


def modules(directory: Path, names: Iterable[str]) -> Path:
    """Modules that load and have what is called."""
    for name in names:
        file = directory.joinpath(*name.split("."))
        if "." in name:
            file.parent.mkdir(parents=True)
            (file.parent / "__init__.py").write_text("__version__ = '2.9'\n")
        file.with_suffix(".py").write_text(f"{CALLED[name]} = len\n")
    return directory


def answer(code: str, *path: Path) -> Any:
    """Run code with these directories first on the path; what it printed last, from JSON."""
    places = os.pathsep.join(map(str, (*path, ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        timeout=6000,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
