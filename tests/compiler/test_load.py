"""Loading spec files: what is found in them, what is wrong with them, and what they leave behind."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from compiler.errors import UserError, UserErrors
from compiler.load import load_all, load_arms, load_every, load_spec

PRELUDE = "from ocspec import *; from small import *\n"


@pytest.fixture
def spec(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a file beside `small.py`; returns how it is called from there."""
    monkeypatch.chdir(workplace)

    def write(text: str, name: str = "spec.py") -> str:
        path = workplace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PRELUDE + text)
        return name

    return write


def problem(reference: str) -> UserError:
    with pytest.raises(UserError) as error:
        load_spec(reference)
    return error.value


# ---------------------------------------------------------------- what is found


def test_the_experiment_and_its_directory(spec, workplace: Path) -> None:
    """The directory is the one that relative paths of the spec start at."""
    experiment, base = load_spec(spec("experiment = small()"))
    assert experiment.name == "small"
    assert base == workplace.resolve()


def test_an_experiment_of_any_name_is_found_if_it_is_the_only_one(spec) -> None:
    """Also under two names."""
    assert load_spec(spec("mine = small()"))[0].name == "small"
    assert load_spec(spec("mine = small(name='twice')\nalias = mine"))[0].name == "twice"


def test_several_experiments_must_be_named(spec) -> None:
    """Except where one is called `experiment`."""
    error = problem(spec("a = small()\nb = small(name='other')"))
    assert (error.what, error.where) == ("the file defines 2 experiments (a, b)", "spec.py")
    assert error.fix == "name one: spec.py:a, spec.py:b"
    assert load_spec("spec.py:b")[0].name == "other"
    assert load_spec(spec("a = small()\nexperiment = small(name='main')"))[0].name == "main"


def test_a_wrong_name_is_answered_with_a_close_one(spec) -> None:
    """Or with all."""
    spec("file_level = small()\nrepository_level = small(name='other')")
    error = problem("spec.py:file_levl")
    assert (error.what, error.fix) == ("no experiment is called 'file_levl'", "did you mean 'file_level'?")
    assert problem("spec.py:xyz").fix == "there are: file_level, repository_level"


def every(reference: str) -> list[str]:
    """What all of a file are called, arms in tuples included."""
    return [name for name, _ in load_every(reference)[0]]


def test_all_experiments_of_a_file_are_those_that_it_defines(spec) -> None:
    """Each once, and nothing that is imported, whatever it is called here and however it came."""
    base = spec("base = small(name='base')", "base.py")
    text = "import base\nfrom base import base as experiment\nfrom base import *\nmore = base\n"
    arms = "one = small(name='one')\ntwo = one.replace(name='two')\nagain = one\n"
    assert [(name, found.name) for name, found in load_all(base)[0]] == [("base.py", "base")]
    assert [name for name, _ in load_all(spec(text + arms))[0]] == ["spec.py:one", "spec.py:two"]
    assert [name for name, _ in load_all(spec(f"{arms}experiment = two"))[0]] == ["spec.py", "spec.py:one"]
    assert load_all(spec(""))[0] == load_all(spec(text))[0] == []


def test_an_experiment_of_a_helpers_making_is_the_files(spec) -> None:
    """The one who calls made it, though the helper may keep it; the helper's own are not."""
    spec("kept = []\nbase = small()\ndef make(**f):\n    kept.append(small(**f))\n    return kept[-1]", "helper.py")
    reference = spec("from helper import base, kept, make\na = make(name='a')\nb = make(name='b')")
    assert every(reference) == ["spec.py:a", "spec.py:b"]


def test_every_arm_is_one_of_the_files(spec) -> None:
    """Once, by the name of its tuple; not those of a tuple that is imported, nor an imported one among arms."""
    spec("experiment = small()\narms = sweep(experiment, {'base.seed': (1, 2)})", "base.py")
    assert every("base.py") == ["base.py", "base.py:arms", "base.py:arms"]
    text = "from base import arms, experiment\n"
    assert every(spec(f"{text}mine = {{'x': experiment, 'y': small()}}\nagain = [*mine.values()]")) == ["spec.py:mine"]
    assert every(spec("mine = [small(), small(name='b')]")) == ["spec.py", "spec.py"]
    assert every("spec.py:mine") == ["spec.py:mine", "spec.py:mine"]


@pytest.mark.parametrize("own", ["one = experiment.replace(name='one')", "one = [experiment.replace(name='one')]"])
def test_an_imported_experiment_does_not_stand_for_a_file_with_its_own(spec, own: str) -> None:
    """Which of them is meant has to be said; all names that can be are there."""
    spec("experiment = small(name='base')", "base.py")
    reference = spec(f"from base import experiment\n{own}\ntwo = experiment.replace(name='two')")
    error = problem(reference)
    assert error.what.startswith("`experiment` is of another file there, and the file has its own (")
    assert {*re.findall(r"spec.py:(\w+)", error.fix)} == {"one", "two", "experiment"}
    with pytest.raises(UserError):
        load_arms(reference)
    assert load_spec("spec.py:experiment")[0].name == "base"
    assert load_arms("spec.py:one")[0][0].name == "one"


def test_what_is_imported_stands_for_a_file_without_its_own(spec) -> None:
    """A file may hand on what another one defines, also under another name, or all of its arms."""
    spec("experiment = small(name='base')\narms = sweep(experiment, {'base.seed': (1, 2)})", "base.py")
    for text in (
        "from base import experiment",
        "import base\nexperiment = base.experiment",
        "from base import experiment as mine",
        "from base import experiment, arms",
    ):
        assert load_spec(spec(text))[0].name == "base"
        assert every("spec.py") == ["spec.py"]
        assert load_all("spec.py")[0] == []
    assert len(load_arms(spec("from base import arms"))[0]) == len(every("spec.py")) == 2


def test_the_only_one_of_a_files_own_stands_for_it(spec) -> None:
    """As its lock does, whatever is imported beside it under another name."""
    spec("experiment = small(name='base')", "base.py")
    reference = spec("from base import experiment as base\narm = base.replace(name='arm')")
    assert load_spec(reference)[0].name == "arm"
    assert every(reference) == [name for name, _ in load_all(reference)[0]] == ["spec.py"]


def test_a_file_without_an_experiment(spec) -> None:
    """Says what to write."""
    error = problem(spec("x = 1"))
    assert error.what == "the file defines 0 experiments (none)"
    assert error.fix == "define experiment = Experiment(...)"


def test_a_file_may_define_classes(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with annotations that are read later: they are looked up in the module, which is gone afterwards."""
    monkeypatch.chdir(workplace)
    Path("classes.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from typing import ClassVar, Literal\n"
        "from ocspec.base import Spec\n"
        "from small import small\n"
        "@dataclass(kw_only=True)\n"
        "class Size:\n"
        "    unit: ClassVar[str] = 'layers'\n"
        "    layers: int = 2\n"
        "class Side(Spec):\n"
        "    which: Literal['a', 'b'] = 'a'\n"
        "experiment = small(name=f'{Side(which=\"b\").which}{Size().layers}')\n"
    )
    before = set(sys.modules)
    assert load_spec("classes.py")[0].name == "b2"
    assert set(sys.modules) == before


@pytest.mark.parametrize("name", ["with space.py", "ünï.py", "1-2.py", "a:b/spec.py", "import.py"])
def test_files_of_any_name(spec, name: str) -> None:
    """A spec need not be importable."""
    assert load_spec(spec("experiment = small()", name if "/" not in name else "spec.py"))[0].name == "small"
    if "/" in name:
        Path(name).parent.mkdir()
        Path("spec.py").rename(name)
        assert load_spec(name)[0].name == "small"


# ---------------------------------------------------------------- what is wrong


def test_a_missing_file(spec) -> None:
    """By its path as it was given."""
    error = problem("nowhere/spec.py")
    assert (error.what, error.where) == ("no such spec file", "nowhere/spec.py")


def test_a_file_that_is_not_python(spec) -> None:
    """By its name or by what it holds."""
    assert "not a Python file" in problem(spec("# Notes", "notes.md")).what
    Path("null.py").write_bytes(b"x = 1\0")
    assert problem("null.py").where.startswith("null.py")
    Path("latin.py").write_bytes("# é".encode("latin-1"))
    assert problem("latin.py").where.startswith("latin.py")


def test_a_syntax_error_has_its_line(spec) -> None:
    """In the spec or in a file that it imports."""
    error = problem(spec("\nexperiment = small(\n"))
    assert (error.what, error.where) == ("'(' was never closed", "spec.py:3")
    spec("x = = 1", "helper.py")
    assert problem(spec("import helper")).where == "helper.py:2"


def test_a_spec_that_raises_is_one_message_with_its_line(spec) -> None:
    """The innermost line of the user's own files, not of the library that raised."""
    error = problem(spec("\nx = {}['lr']\nexperiment = small()"))
    assert (error.what, error.where) == ("the spec raised KeyError: 'lr'", "spec.py:3")
    spec("\ndef half(x):\n    return 1 / x\n", "helper.py")
    assert problem(spec("from helper import half\nhalf(0)")).where == "helper.py:4"
    error = problem(spec("import json\n\njson.loads('{')"))
    assert (error.where, "JSONDecodeError" in error.what) == ("spec.py:4", True)


def test_the_line_at_fault_is_not_a_librarys(spec, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though an environment, like the language itself, may lie below the folder above the spec."""
    spec("def fail(): raise OSError('broken')", ".venv/lib/failing_library.py")
    monkeypatch.syspath_prepend(str(workplace / ".venv" / "lib"))
    error = problem(spec("import failing_library\nfailing_library.fail()", "specs/spec.py"))
    assert (error.what, error.where) == ("the spec raised OSError: broken", "specs/spec.py:3")
    del sys.modules["failing_library"]


def test_a_spec_that_exits(spec) -> None:
    """Does not end the command without a word."""
    error = problem(spec("raise SystemExit(0)"))
    assert (error.what, error.where) == ("the spec raised SystemExit: 0", "spec.py:2")


def test_all_problems_of_a_file_are_listed(spec) -> None:
    """Each with its line, its field and its fix."""
    reference = spec(
        "a = MinHash(bands=0)\n"
        "b = Part(dataset='code', wieght=1)\n"
        "c = Decay(end='low')\n"
        "d = AdamW(beta=0.9)\n"
        "experiment = small()\n"
    )
    error = problem(reference)
    assert isinstance(error, UserErrors)
    text = str(error)
    assert re.findall(r"spec.py:(\d+): (\w+)\.(\w+)", text) == [
        ("2", "MinHash", "bands"),
        ("3", "Part", "wieght"),
        ("4", "Decay", "end"),
        ("5", "AdamW", "beta"),
    ]
    assert "did you mean 'weight'?" in text
    assert error.what == "4 problems"


def test_what_follows_from_a_problem_is_not_a_problem_of_its_own(spec) -> None:
    """An object that was refused may make later lines fail."""
    error = problem(spec("a = MinHash(bands='many')\nx = a.bands * 2 + 'x'\nexperiment = small()"))
    assert isinstance(error, UserErrors)
    assert len(error.problems) == 1


# ---------------------------------------------------------------- what is left behind


def test_an_ablation_starts_from_a_base_in_the_folder_above(spec) -> None:
    """Which is importable by its name alone."""
    spec("experiment = small(name='base')", "base.py")
    reference = spec("from base import experiment\narm = experiment.replace(name='arm')", "ablations/arms.py")
    experiment, base = load_spec(f"{reference}:arm")
    assert experiment.name == "arm"
    assert base.name == "ablations"


def test_the_folder_of_the_spec_comes_before_the_one_above(spec) -> None:
    """Where both have a helper of one name."""
    spec("NAME = 'above'", "helper.py")
    spec("NAME = 'beside'", "inner/helper.py")
    reference = spec("import helper\nexperiment = small(name=helper.NAME)", "inner/spec.py")
    assert load_spec(reference)[0].name == "beside"


@pytest.mark.parametrize("helper", ["helper.py", "helper/__init__.py", "helper/part.py"])
def test_helpers_of_one_name_do_not_leak_between_specs(spec, helper: str) -> None:
    """Modules, packages, and packages without an __init__."""
    module = "helper.part" if helper.endswith("part.py") else "helper"
    before, path = set(sys.modules), list(sys.path)
    for name in ("one", "two"):
        spec(f"NAME = '{name}'", f"{name}/{helper}")
        reference = spec(f"from {module} import NAME\nexperiment = small(name=NAME)", f"{name}/spec.py")
        assert load_spec(reference)[0].name == name
    assert set(sys.modules) == before
    assert sys.path == path


def test_what_fails_leaves_nothing_either(spec) -> None:
    """Neither a module nor a path."""
    before, path = set(sys.modules), list(sys.path)
    spec("1 / 0", "helper.py")
    problem(spec("import helper"))
    assert set(sys.modules) == before
    assert sys.path == path


def test_libraries_that_a_spec_imports_stay(spec, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some can be loaded only once in a process; an environment often lies below the folder above the spec."""
    packages = workplace / ".venv" / "lib"
    spec("COUNT = []", ".venv/lib/only_once.py")
    monkeypatch.syspath_prepend(str(packages))
    reference = spec("import only_once\nexperiment = small()", "specs/spec.py")
    load_spec(reference)
    first = sys.modules["only_once"]
    load_spec(reference)
    assert sys.modules.pop("only_once") is first


def test_an_edit_is_seen_at_once(spec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one of the same size in the same second, in the spec or in a helper: no stale bytecode is run."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # as Python has it, whatever these tests run under
    for name in ("one", "two"):
        spec(f"NAME = '{name}'", "helper.py")
        for suffix in ("x", "y"):
            reference = spec(f"import helper\nexperiment = small(name=helper.NAME + '{suffix}')")
            assert load_spec(reference)[0].name == name + suffix
    assert not list(Path().rglob("__pycache__"))
    assert sys.dont_write_bytecode is False
