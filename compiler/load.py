"""Loading a spec file: run it, collect every problem, find the experiment in it. The only place that runs specs."""

from __future__ import annotations

import difflib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
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
    found = importlib.util.spec_from_file_location(name, path.resolve())
    if found is None or found.loader is None:
        raise UserError("not a Python file", where=str(path), fix="give a spec whose name ends in .py")
    module = importlib.util.module_from_spec(found)
    with collect_problems() as problems, _own_modules(path) as is_own:
        try:
            found.loader.exec_module(module)
        except SpecError as error:
            problems.extend(error.problems)
        except (Exception, SystemExit) as error:
            if not problems:  # else it is most likely their consequence
                raise _raised(error, path, is_own) from None
    if problems:
        raise UserErrors([_problem(problem) for problem in problems])
    return module


IsOwn = Callable[[ModuleSpec | None], bool]


@contextmanager
def _own_modules(path: Path) -> Iterator[IsOwn]:
    """Make a spec's folders importable, then forget what was imported from them: the next spec has its own.

    Libraries stay, wherever they lie: an environment may well be inside such a folder, and some can be loaded only
    once. No bytecode is written: it would outlive an edit within the same second.
    """
    folders = path.resolve().parent, path.resolve().parent.parent
    before, bytecode = set(sys.modules), sys.dont_write_bytecode

    def is_own(found: ModuleSpec | None) -> bool:
        return found is not None and found.name.partition(".")[0] not in before and _root(found) in folders

    sys.path[:0] = map(str, folders)
    sys.dont_write_bytecode = True
    try:
        yield is_own
    finally:
        sys.dont_write_bytecode = bytecode
        for folder in folders:
            sys.path.remove(str(folder))
        for added in [name for name in sys.modules if is_own(getattr(sys.modules[name], "__spec__", None))]:
            del sys.modules[added]


def _root(found: ModuleSpec) -> Path | None:
    """The directory from which a module was imported, that of its outermost package; None for built-in ones."""
    places = [found.origin] if found.has_location else [f"{p}/__init__" for p in found.submodule_search_locations or ()]
    depth = found.name.count(".") + (found.submodule_search_locations is not None)
    return Path(places[0]).parents[depth] if places and places[0] else None


def _problem(problem: Problem) -> UserError:
    where = ""
    if problem.origin:
        where = f"{_short(problem.origin.file)}:{problem.origin.line}"
    fix = problem.fix or f"correct it; `ocspec schema` describes {'.'.join(problem.path.split('.')[:2])}"
    return UserError(f"{problem.path}: {problem.what}", where=where, fix=fix)


def _raised(error: BaseException, path: Path, is_own: IsOwn) -> UserError:
    """A spec that raises, as one message with the line of the spec at fault."""
    where = str(path)
    if isinstance(error, SyntaxError) and error.filename:
        return UserError(f"{error.msg}", where=f"{_short(error.filename)}:{error.lineno}", fix="correct the syntax")
    for frame, line in traceback.walk_tb(error.__traceback__):
        if is_own(frame.f_globals.get("__spec__")):
            where = f"{_short(frame.f_code.co_filename)}:{line}"
    return UserError(f"the spec raised {type(error).__name__}: {error}", where=where, fix="correct the spec")


def _short(file: str) -> str:
    """A path as people write it: relative where that is shorter."""
    try:
        relative = os.path.relpath(file)
    except ValueError:
        return file
    return relative if len(relative) < len(file) else file
