"""What the compiler's tests share: specs out of text, cases out of text files, and goldens.

A case file holds `==== title`, a given text, `----` and the text expected. With UPDATE_GOLDEN=1 in the environment
expected texts and goldens are written anew, to be read in the diff before they are committed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from compiler.compile import compile_experiment
from compiler.load import load_spec
from compiler.plan import Plan
from ocspec import Experiment

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "compiler"
GOLDEN = ROOT / "tests" / "golden"
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))


@attrs.frozen
class Case:
    """One pair of a case file."""

    file: Path
    title: str
    given: str
    expected: str

    def check(self, actual: str) -> None:
        """The actual text is the expected one, or becomes it."""
        if UPDATE and actual != self.expected:
            head = f"==== {self.title}\n{self.given}----\n"
            text = self.file.read_text()
            assert head + self.expected in text
            self.file.write_text(text.replace(head + self.expected, head + actual))
            return
        assert actual == self.expected


def read_cases(folder: str) -> list[Case]:
    """All cases of the files in a folder of fixtures."""
    cases = []
    for file in sorted((FIXTURES / folder).glob("*.txt")):
        for block in file.read_text().split("==== ")[1:]:
            title, _, body = block.partition("\n")
            given, _, expected = body.partition("----\n")
            cases.append(Case(file, title, given, expected))
    assert cases, folder
    return cases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `case` runs once for each case of its module's folder CASES."""
    if "case" in metafunc.fixturenames:
        cases = read_cases(metafunc.module.CASES)
        names = [f"{case.file.stem}: {case.title}" for case in cases]
        assert len(names) == len(set(names))
        metafunc.parametrize("case", cases, ids=names)


@pytest.fixture(scope="session")
def golden() -> Callable[[str, str], None]:
    """Compare a text with the file of that name under tests/golden."""

    def check(name: str, actual: str) -> None:
        file = GOLDEN / name
        if UPDATE:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(actual)
        assert file.is_file(), f"no golden {name}: run with UPDATE_GOLDEN=1"
        assert actual == file.read_text()

    return check


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A directory in which the specs of fixtures compile: `small.py`, and the data that it names."""
    shutil.copy(FIXTURES / "small.py", tmp_path)
    for repository in ("alpha", "beta"):
        folder = tmp_path / "repositories" / repository
        folder.mkdir(parents=True)
        (folder / "main.py").write_text(f"print('{repository}')\n" * 200)
    (tmp_path / "files.jsonl").write_text('{"repo": "alpha", "path": "a.py", "content": "x = 1"}\n' * 100)
    mbpp = '{"task_id": 11, "text": "say x", "code": "x", "test_list": []}\n'
    humaneval = '{"task_id": "x/1", "prompt": "def x():", "canonical_solution": "    return 1", "entry_point": "x"}\n'
    (tmp_path / "items.jsonl").write_text(mbpp + humaneval)
    (tmp_path / "pairs.jsonl").write_text('{"instruction": "say x", "output": "x"}\n')
    return tmp_path


@pytest.fixture
def experiment_of(workplace: Path) -> Callable[[str], Experiment]:
    """Run a spec text in which the names of the language and of `small.py` are known."""

    def run(text: str) -> Experiment:
        (workplace / "spec.py").write_text("from ocspec import *; from small import *\n" + text)
        return load_spec(str(workplace / "spec.py"))[0]

    return run


@pytest.fixture
def compiled(workplace: Path, experiment_of: Callable[[str], Experiment]) -> Callable[[str], Plan]:
    """Compile a spec text in which the names of the language and of `small.py` are known."""
    return lambda text: compile_experiment(experiment_of(text), workplace)


@pytest.fixture(scope="session")
def mini() -> Experiment:
    """The experiment for a laptop, as shipped."""
    return load_spec(str(ROOT / "specs" / "opencoder_mini.py"))[0]


@pytest.fixture(scope="session")
def mini_plan(mini: Experiment) -> Plan:
    """Its plan."""
    return compile_experiment(mini, ROOT / "specs")


@pytest.fixture(scope="session")
def full_scale() -> dict[str, Plan]:
    """Plans of the experiments of the paper, by size."""
    return {
        size: compile_experiment(*load_spec(str(ROOT / "specs" / f"opencoder_{size}.py"))) for size in ("1_5b", "8b")
    }
