"""The rules of the house as tests: docstrings, annotations, sizes, and what must not stand in a file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("ocspec", "compiler", "runtime")
LONGEST_FUNCTION = 120
LONGEST_MODULE = 600
UNFINISHED = re.compile(r"\b(TODO|FIXME)\b")
MACHINE = re.compile(r"(?<![\w.$}\]*/-])/(work|root)/")
DATA = ("tests/fixtures/", "tests/docs/test_house.py")
"""Where such words are data: samples of bad code, and this file."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@pytest.fixture(scope="session")
def modules(root: Path, files: list[Path]) -> dict[str, ast.Module]:
    """The modules of the three packages by name, parsed."""
    found = [path for path in files if path.suffix == ".py" and path.relative_to(root).parts[0] in PACKAGES]
    return {str(path.relative_to(root)): ast.parse(path.read_text(encoding="utf-8")) for path in found}


def functions(module: ast.AST) -> Iterator[Function]:
    """All functions and methods, nested ones included."""
    return (node for node in ast.walk(module) if isinstance(node, Function))


def public(module: ast.AST) -> Iterator[Function]:
    """Functions and methods that others may call; those inside functions are nobody's."""
    for node in ast.iter_child_nodes(module):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node)
        elif isinstance(node, Function) and not node.name.startswith("_"):
            yield node


def length(node: Function) -> int:
    """Lines of a function, its docstring included, decorators not."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_every_module_begins_with_a_docstring(modules: dict[str, ast.Module]) -> None:
    """It says what the module is."""
    assert len(modules) > 100
    assert [name for name, module in modules.items() if not ast.get_docstring(module)] == []


def test_every_public_function_says_what_it_returns(modules: dict[str, ast.Module]) -> None:
    """Methods included."""
    bare = [
        f"{name}: {node.name}" for name, module in modules.items() for node in public(module) if node.returns is None
    ]
    assert bare == []


def test_no_function_is_too_long(modules: dict[str, ast.Module]) -> None:
    """A function of more lines does more than one thing."""
    long = [
        f"{name}: {node.name} has {length(node)} lines"
        for name, module in modules.items()
        for node in functions(module)
        if length(node) > LONGEST_FUNCTION
    ]
    assert long == []


def test_no_module_is_too_long(root: Path, modules: dict[str, ast.Module]) -> None:
    """A module of more lines is more than one module."""
    counts = {name: len((root / name).read_text(encoding="utf-8").splitlines()) for name in modules}
    assert {name: count for name, count in counts.items() if count > LONGEST_MODULE} == {}


def test_nothing_is_left_for_later(root: Path, files: list[Path]) -> None:
    """What is not done is said in the README, in words."""
    assert matches(root, files, UNFINISHED) == []


def test_no_path_of_one_machine_is_written_down(root: Path, files: list[Path]) -> None:
    """Of a home or a working directory that only one machine has."""
    assert matches(root, files, MACHINE) == []


def matches(root: Path, files: list[Path], pattern: re.Pattern[str]) -> list[str]:
    """`FILE:LINE` of every match in a text file that is not data."""
    found = []
    for path in files:
        name = str(path.relative_to(root))
        if name.startswith(DATA):
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{name}:{number}" for number, line in enumerate(lines, 1) if pattern.search(line)]
    return found


def test_the_patterns_find_what_they_are_for() -> None:
    """And pass over paths inside a store or a URL."""
    assert UNFINISHED.search("# TODO: later")
    assert not UNFINISHED.search("mastodon, and a TODOLIST")
    assert MACHINE.search("open('/root/x')")
    assert MACHINE.search("cd /work/main")
    assert not MACHINE.search(".ocspec/work/KEY")
    assert not MACHINE.search("${CORPUS}/work/x")
