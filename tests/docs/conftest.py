"""What the tests of the repository itself look at: its files. Nothing here runs ocspec."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {".git", ".venv", ".venv-training", ".ocspec", "build", "dist", "__pycache__"}


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Files of the repository, new ones included; of an unpacked archive, all that was not generated."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not GENERATED.intersection(path.relative_to(ROOT).parts)]
    return sorted(path for path in paths if path.is_file())


@pytest.fixture(scope="session")
def documents(files: list[Path]) -> list[Path]:
    """The Markdown files that people read; fixtures are data."""
    return [path for path in files if path.suffix == ".md" and "fixtures" not in path.parts]
