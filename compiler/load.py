"""Loading a spec file: run it, collect every problem, and find the experiment in it. The only place that imports specs."""

from __future__ import annotations

import difflib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from compiler.errors import UserError, UserErrors
from ocspec.base import Problem, SpecError, collect_problems
from ocspec.experiment import Experiment


def load_spec(reference: str) -> tuple[Experiment, Path]:
    """The experiment named by `FILE` or `FILE:NAME`, and the directory that its relative paths start at.

    Raises UserErrors with every problem of the file, each with file:line; never the spec's own traceback.
    """
    file, name = _split(reference)
    path = Path(file)
    if not path.is_file():
        raise UserError("no such spec file", where=str(path), fix="give the path of a Python file")
    module = _run(path)
    found = {key: value for key, value in vars(module).items() if isinstance(value, Experiment)}
    if name:
        if name not in found:
            close = difflib.get_close_matches(name, found, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(found) or 'none'}"
            raise UserError(f"no experiment is called {name!r}", where=str(path), fix=hint)
        return found[name], path.resolve().parent
    if "experiment" in found:
        return found["experiment"], path.resolve().parent
    distinct = {id(value): key for key, value in found.items()}
    if len(distinct) != 1:
        names = ", ".join(found) or "none"
        fix = f"name one: {path}:{next(iter(found))}" if found else "define experiment = Experiment(...)"
        raise UserError(f"the file defines {len(distinct)} experiments ({names})", where=str(path), fix=fix)
    return next(iter(found.values())), path.resolve().parent


def _split(reference: str) -> tuple[str, str]:
    file, _, name = reference.rpartition(":")
    return (file, name) if file and name.isidentifier() else (reference, "")


def _run(path: Path) -> ModuleType:
    """Run a spec file as a module of its own. Its directory and the one above are importable while it runs.

    The one above, so that an ablation in a folder of its own can start from its base.
    """
    name = "_ocspec_spec_" + "".join(c if c.isalnum() else "_" for c in path.stem)
    loader = importlib.util.spec_from_file_location(name, path.resolve())
    assert loader is not None and loader.loader is not None
    module = importlib.util.module_from_spec(loader)
    directory, above = str(path.resolve().parent), str(path.resolve().parent.parent)
    before = set(sys.modules)
    sys.path[:0] = [directory, above]
    try:
        with collect_problems() as problems:
            try:
                loader.loader.exec_module(module)
            except SpecError as error:
                problems.extend(error.problems)
            except Exception as error:
                if not problems:  # else it is most likely their consequence
                    raise _raised(error, path) from None
    finally:
        sys.path.remove(directory)
        sys.path.remove(above)
        for added in set(sys.modules) - before:  # a spec's own helpers must not leak into the next spec
            if str(getattr(sys.modules[added], "__file__", "") or "").startswith(above + os.sep):
                del sys.modules[added]
    if problems:
        raise UserErrors([_problem(problem) for problem in problems])
    return module


def _problem(problem: Problem) -> UserError:
    where = ""
    if problem.origin:
        where = f"{_short(problem.origin.file)}:{problem.origin.line}"
    return UserError(f"{problem.path}: {problem.what}", where=where, fix=problem.fix)


def _raised(error: Exception, path: Path) -> UserError:
    """A spec that raises, as one message with the line of the spec at fault."""
    directory = str(path.resolve().parent.parent)
    where = str(path)
    if isinstance(error, SyntaxError) and error.filename:
        return UserError(f"{error.msg}", where=f"{_short(error.filename)}:{error.lineno}", fix="correct the syntax")
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(directory):
            where = f"{_short(frame.filename)}:{frame.lineno}"
    return UserError(f"the spec raised {type(error).__name__}: {error}", where=where, fix="correct the spec")


def _short(file: str) -> str:
    """A path as people write it: relative where that is shorter."""
    try:
        relative = os.path.relpath(file)
    except ValueError:
        return file
    return relative if len(relative) < len(file) else file
