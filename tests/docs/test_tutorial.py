"""The tutorial, run as it is written: its files saved, its commands one after another in an empty folder.

And what README shows of two commands. Times and sizes that documents print are not compared: they are a machine's.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FILE = re.compile(r"<!-- file: (\S+) -->\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```(bash|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)
AMOUNT = re.compile(
    r"(?:[<>]= )?\d[\d.]*(?: \w+)?(?:-\d[\d.]*)? (?:s|min|h|CPU-s|kB|MB)\b(?: \([^)\n]*\))?|\bunknown\b"
)
FOLDER = "first-experiment"
DIFF_COLUMNS = "110"


MARK = "---- next ----"


def environment(columns: str) -> dict[str, str]:
    """That of a terminal of so many columns, and no store but the one of the directory."""
    return {**os.environ, "COLUMNS": columns, "OCSPEC_STORE": "", "NO_COLOR": "1"}


def words(text: str) -> str:
    """What is printed without amounts, however it is broken into lines."""
    return " ".join(word for word in AMOUNT.sub("AMOUNT", text).split() if word != "-")


def shows(shown: str, printed: str) -> bool:
    """Whether a command printed what a document shows of it; `...` stands for anything."""
    parts = [re.escape(words(part)) for part in re.split(r"^\.\.\.$", shown, flags=re.MULTILINE)]
    return re.fullmatch(" ?(?:.*) ?".join(parts), words(printed)) is not None


def shown_after_commands(text: str) -> list[tuple[int, str]]:
    """What a document shows, each with the number of the commands before it."""
    found, number = [], -1
    for kind, block in BLOCK.findall(text):
        number += kind == "bash"
        if kind == "text":
            found.append((number, block))
    return found


@pytest.fixture(scope="module")
def tutorial(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder after all commands, and what they printed."""
    text = (root / "docs" / "tutorial.md").read_text(encoding="utf-8")
    empty = tmp_path_factory.mktemp("a tutorial")
    (empty / FOLDER).mkdir()
    for name, code in FILE.findall(text):
        (empty / FOLDER / name).write_text(code)
    script = "".join(f"{commands}echo {MARK}\n" for commands in COMMANDS.findall(text)).replace(f"mkdir {FOLDER}\n", "")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=empty,
        env={**environment("80"), "PATH": path},
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
def test_the_tutorial_shows_what_is_printed(root: Path, tutorial: tuple[Path, str]) -> None:
    """Each block of text, what the commands right before it print."""
    shown = shown_after_commands((root / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    printed = tutorial[1].split(f"{MARK}\n")
    assert len(shown) >= 10
    for number, block in shown:
        assert shows(block, printed[number]), f"{block}\n-- is shown, but printed is\n\n{printed[number]}"


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


def test_a_mistake_is_reported_as_the_tutorial_says(root: Path, tmp_path: Path) -> None:
    """With its line and a proposal."""
    text = (root / "docs" / "tutorial.md").read_text(encoding="utf-8")
    code = dict(FILE.findall(text))["first.py"].replace("max_bytes=", "max_byte=")
    (tmp_path / "first.py").write_text(code)
    ran = ocspec("compile", "first.py", cwd=tmp_path)
    line = 1 + code[: code.index("max_byte=")].count("\n")
    assert ran.returncode == 1
    assert ran.stderr == f"error: first.py:{line}: Admit.max_byte: no such field\n  fix: did you mean 'max_bytes'?\n"


def test_readme_shows_what_the_diff_prints(root: Path, tmp_path: Path) -> None:
    """But for amounts: those of a machine with other processors are others."""
    text = (root / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    ocspec (diff .*)$", text, re.MULTILINE)
    ran = ocspec(*command.split(), "--store", str(tmp_path), cwd=root)
    assert shows(after(text, "diff"), ran.stdout), ran.stdout


def test_readme_shows_what_the_quickstart_compiles(root: Path, tmp_path: Path) -> None:
    """And as many tasks run as it compiles."""
    text = (root / "README.md").read_text(encoding="utf-8")
    ran = ocspec("compile", "specs/opencoder_mini.py", "--out", str(tmp_path), cwd=root)
    top, bottom = after(text, "quickstart").split("...\n")
    assert ran.stdout.startswith(top)
    tasks = len(json.loads((tmp_path / "plan.json").read_text())["tasks"])
    assert bottom.startswith(f"{tasks} ran, 0 reused, 0 cut off, 0 failed in ")


def after(text: str, name: str) -> str:
    """The block of text behind a mark."""
    return BLOCK.findall(text.partition(f"<!-- output: {name} -->")[2])[0][1]


def ocspec(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command line, run at as many columns as README shows."""
    return subprocess.run(
        [sys.executable, "-m", "ocspec.cli", *argv],
        cwd=cwd,
        env=environment(DIFF_COLUMNS),
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_not_printed_is_found() -> None:
    """Amounts and line breaks may differ, nothing else."""
    printed = "1 change\n  a  1.9-2.4 s  x\n     y\n\nPlan: 1 new - 41 k tokens, >= 7.9 CPU-s, 18 kB (1-30) written\n"
    assert shows("1 change\n  a <= 3 min  x y\n...\nPlan: 1 new\n 41 k tokens, unknown, 2 MB written\n", printed)
    for other in ("2 changes\n...\n", "1 change\n  a  3 s  x\nPlan: 1 new\n...\n", "1 change\n...\nPlan: 2 new\n...\n"):
        assert not shows(other, printed)
