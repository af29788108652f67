"""The tutorial, run as it is written: its files saved, its commands one after another in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FILE = re.compile(r"<!-- file: (\S+) -->\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
FOLDER = "first-experiment"


@pytest.fixture(scope="module")
def tutorial(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder after all commands, and what they printed."""
    text = (root / "docs" / "tutorial.md").read_text(encoding="utf-8")
    empty = tmp_path_factory.mktemp("a tutorial")
    (empty / FOLDER).mkdir()
    for name, code in FILE.findall(text):
        (empty / FOLDER / name).write_text(code)
    script = "\n".join(COMMANDS.findall(text)).replace(f"mkdir {FOLDER}\n", "")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "COLUMNS": "80", "OCSPEC_STORE": ""}
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]
    return empty / FOLDER, ran.stdout


@pytest.mark.slow
def test_every_command_of_the_tutorial_runs(tutorial: tuple[Path, str]) -> None:
    """And leaves the reports that it speaks of."""
    folder, _ = tutorial
    assert all((folder / "build" / name / "report.html").exists() for name in ("first", "second", "third"))


@pytest.mark.slow
def test_what_the_tutorial_says_happens(tutorial: tuple[Path, str]) -> None:
    """Twelve tasks at first; by repository, sign makes the same keys, so hold-out is cut off; then none; then one."""
    _, printed = tutorial
    ran = re.findall(r"^(\d+) ran, (\d+) reused, (\d+) cut off, (\d+) failed", printed, re.MULTILINE)
    assert ran == [("12", "0", "0", "0"), ("12", "0", "1", "0"), ("0", "12", "0", "0"), ("1", "0", "11", "0")]


@pytest.mark.slow
def test_the_fork_keeps_its_file_by_file_and_loses_it_by_repository(tutorial: tuple[Path, str]) -> None:
    """The tables in the tutorial's last queries."""
    _, printed = tutorial
    first, second = printed.rpartition("\nsecond\n")[::2]
    assert "my-logging/levels.py" not in first.rpartition("\nfirst\n")[2]
    assert re.search(r"my-logging/levels\.py\s*│\s*near_duplicate\s*│\s*logging", second)
