"""Loading a spec file: run it, collect every problem, find the experiment in it. The only place that runs specs.

A spec of another revision, `FILE@REVISION`, is run from an export of that revision (`compiler.revisions`).
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from compiler.errors import UserError, UserErrors
from compiler.overrides import override
from compiler.problems import as_error, short
from compiler.revisions import Export, export
from ocspec.base import SpecError, collect_problems
from ocspec.experiment import Experiment

MOST_NAMES = 5


REFERENCE = re.compile(r"(?P<file>.+?\.py)(?::(?P<name>[^\W\d]\w*))?(?:@(?P<revision>.*))?", re.DOTALL)


@attrs.frozen(kw_only=True)
class Reference:
    """What `FILE`, `FILE:NAME`, `FILE@REVISION` or `FILE:NAME@REVISION` names."""

    file: str
    name: str = ""
    revision: str | None = None

    @classmethod
    def read(cls, text: str) -> Reference:
        """The parts of a reference. A file that is there under the whole text is that file.

        >>> Reference.read("specs/a.py:small@v1.2")
        Reference(file='specs/a.py', name='small', revision='v1.2')
        """
        file, _, name = text.rpartition(":")
        found = None if Path(text).is_file() else REFERENCE.fullmatch(text)
        if found:
            return cls(file=found["file"], name=found["name"] or "", revision=found["revision"])
        return cls(file=file, name=name) if file and name.isidentifier() else cls(file=text)


def load_spec(reference: str, settings: Sequence[str] = ()) -> tuple[Experiment, Path]:
    """The experiment that a reference names, and the directory that its relative paths start at.

    `settings` are overrides such as `pretrain.schedule.peak=3e-4` (see `compiler.overrides`). Raises UserErrors with
    every problem of the file, each with file:line; never the spec's own traceback.
    """
    experiments, base = load_arms(reference)
    if len(experiments) != 1:
        names = ", ".join(one.name for one in experiments[:MOST_NAMES])
        more = ", ..." if len(experiments) > MOST_NAMES else ""
        what = f"{len(experiments)} experiments stand there ({names}{more}), and one is asked for"
        raise UserError(what, where=reference, fix="name one of them in the file; `ocspec compile` takes all")
    return override(experiments[0], settings), base


def load_arms(reference: str) -> tuple[tuple[Experiment, ...], Path]:
    """The experiments that a reference names: one, or all of a tuple, list or mapping of them; and their directory.

    Raises as `load_spec` does.
    """
    named = Reference.read(reference)
    path, revision = Path(named.file), None
    if named.revision is not None:
        path, revision = export(path, named.revision)
    elif not path.is_file():
        raise UserError("no such spec file", where=str(path), fix="give the path of a Python file")
    return _found(_run(path, revision), named), path.resolve().parent


def _found(module: ModuleType, named: Reference) -> tuple[Experiment, ...]:
    """What the name stands for; without a name `experiment`, else the only one."""
    found = {key: value for key, value in vars(module).items() if isinstance(value, Experiment)}
    groups = {key: tuple(group) for key, value in vars(module).items() if (group := _group(value))}
    if named.name in groups:
        return groups[named.name]
    if named.name:
        if named.name not in found:
            known = [*found, *groups]
            close = difflib.get_close_matches(named.name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known) or 'none'}"
            raise UserError(f"no experiment is called {named.name!r}", where=named.file, fix=hint)
        return (found[named.name],)
    if "experiment" in found:
        return (found["experiment"],)
    distinct = {id(value): key for key, value in found.items()}
    if not distinct and len(groups) == 1:
        return next(iter(groups.values()))
    if len(distinct) != 1:
        names = ", ".join(found) or "none"
        fix = f"name one: {named.file}:{next(iter(found))}" if found else "define experiment = Experiment(...)"
        raise UserError(f"the file defines {len(distinct)} experiments ({names})", where=named.file, fix=fix)
    return (next(iter(found.values())),)


def _group(value: object) -> list[Experiment]:
    """The experiments of a tuple, list or mapping that holds nothing else."""
    items: list[Any] = list(
        value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else []
    )
    return items if all(isinstance(item, Experiment) for item in items) else []


def load_all(file: Path) -> dict[str, Experiment]:
    """Every experiment that a spec file defines, each once, by the name that it has there.

    What a file imports by name belongs to the file that it is from. The one that `FILE` alone stands for is called
    `experiment`. Raises as `load_spec` does, but not where there is none: such a file is a module that specs share.
    """
    if not file.is_file():
        raise UserError("no such spec file", where=str(file), fix="give the path of a Python file")
    found = {name: value for name, value in vars(_run(file)).items() if isinstance(value, Experiment)}
    seen = {id(found[name]) for name in _imported(file) & {*found}}
    own: dict[str, Experiment] = {}
    for name in sorted(found, key=lambda name: name != "experiment"):
        if id(found[name]) not in seen:
            own[name] = found[name]
            seen.add(id(found[name]))
    if len(own) == 1 and "experiment" not in found:
        return {"experiment": next(iter(own.values()))}
    return own


def _imported(file: Path) -> set[str]:
    """The names that a module takes from others."""
    statements = [node for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in statements for alias in node.names}


def _run(path: Path, revision: Export | None = None) -> ModuleType:
    """Run a spec file as a module of its own. Its directory and the one above are importable while it runs.

    The one above, so that an ablation in a folder of its own can start from its base.
    """
    name = "_ocspec_spec_" + "".join(c if c.isalnum() else "_" for c in path.stem)
    found = importlib.util.spec_from_file_location(name, path.resolve())
    if found is None or found.loader is None:
        raise UserError("not a Python file", where=short(str(path)), fix="give a spec whose name ends in .py")
    module = importlib.util.module_from_spec(found)
    with collect_problems() as problems, _set_aside(revision), _own_modules(path, revision) as is_own:
        sys.modules[name] = module  # where dataclasses and pydantic look up what annotations name
        try:
            found.loader.exec_module(module)
        except SpecError as error:
            problems.extend(error.problems)
        except (Exception, SystemExit) as error:
            if not problems:  # else it is most likely their consequence
                raise _raised(error, path, is_own) from None
    if problems:
        raise UserErrors([as_error(problem) for problem in problems])
    return module


IsOwn = Callable[[ModuleSpec | None], bool]


@contextmanager
def _own_modules(path: Path, revision: Export | None) -> Iterator[IsOwn]:
    """Make a spec's folders importable, then forget what was imported from them: the next spec has its own.

    Of another revision also the folders of its repository that Python looks into, so that a package of the repository
    is that of the revision.

    Libraries stay, wherever they lie: an environment may well be inside such a folder, and some can be loaded only
    once. No bytecode is written: it would outlive an edit within the same second.
    """
    folders = list(dict.fromkeys([path.resolve().parent, path.resolve().parent.parent, *_searched(revision)]))
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


def _searched(revision: Export | None) -> Iterator[Path]:
    """Where a revision has the folders of its repository that Python looks into."""
    places = [revision.here(Path(entry).resolve()) for entry in sys.path] if revision else []
    return (place for place in places if place and place.is_dir())


@contextmanager
def _set_aside(revision: Export | None) -> Iterator[None]:
    """Forget for a while the modules that the working tree has of a revision's files: it shall import its own."""
    aside = {name: module for name, module in sys.modules.items() if revision and _is_older(module, revision)}
    for name in aside:
        del sys.modules[name]
    try:
        yield
    finally:
        sys.modules.update(aside)


def _is_older(module: ModuleType, revision: Export) -> bool:
    """Whether the revision has a module's file, and it is not ocspec's: that compiles specs of any revision."""
    name, file = module.__name__, getattr(module, "__file__", None)
    if not file or name.partition(".")[0] in {"ocspec", "compiler", "runtime", "__main__"}:
        return False
    place = revision.here(Path(file))
    return place is not None and place.exists()


def _root(found: ModuleSpec) -> Path | None:
    """The directory from which a module was imported, that of its outermost package; None for built-in ones."""
    places = [found.origin] if found.has_location else [f"{p}/__init__" for p in found.submodule_search_locations or ()]
    depth = found.name.count(".") + (found.submodule_search_locations is not None)
    return Path(places[0]).parents[depth] if places and places[0] else None


def _raised(error: BaseException, path: Path, is_own: IsOwn) -> UserError:
    """A spec that raises, as one message with the line of the spec at fault."""
    where = short(str(path))
    if isinstance(error, SyntaxError) and error.filename:
        return UserError(f"{error.msg}", where=f"{short(error.filename)}:{error.lineno}", fix="correct the syntax")
    for frame, line in traceback.walk_tb(error.__traceback__):
        if is_own(frame.f_globals.get("__spec__")):
            where = f"{short(frame.f_code.co_filename)}:{line}"
    return UserError(f"the spec raised {type(error).__name__}: {error}", where=where, fix="correct the spec")
