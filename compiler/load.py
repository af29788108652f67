"""Loading a spec file: run it, collect every problem, find the experiment in it. The only place that runs specs.

A spec of another revision, `FILE@REVISION`, is run from an export of that revision (`compiler.revisions`).
"""

from __future__ import annotations

import difflib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from itertools import chain
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

    def __str__(self) -> str:
        revision = "" if self.revision is None else f"@{self.revision}"
        return f"{self.file}{self.name and ':'}{self.name}{revision}"


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
    contents, base = _contents(Reference.read(reference))
    return contents.asked(), base


def load_all(reference: str) -> tuple[list[tuple[str, Experiment]], Path]:
    """Every experiment that a spec file defines by name, each once, under FILE or FILE:NAME; and their directory.

    None for a module that specs share. Raises as `load_spec` does, but not where it is unclear which one is meant.
    """
    contents, base = _contents(Reference.read(reference))
    return list(contents.all()), base


def load_every(reference: str) -> tuple[list[tuple[str, Experiment]], Path]:
    """All that a reference stands for: of a file what `load_all` finds, and the arms in tuples that it defines.

    Where that is none, what `load_arms` finds; raises as that does.
    """
    named = Reference.read(reference)
    contents, base = _contents(named)
    own = [] if named.name else [*contents.all(), *contents.arms()]
    return own or [(reference, one) for one in contents.asked()], base


def _contents(named: Reference) -> tuple[Contents, Path]:
    """Run the file, and see what is in it."""
    path, revision = Path(named.file), None
    if named.revision is not None:
        path, revision = export(path, named.revision)
    elif not path.is_file():
        raise UserError("no such spec file", where=str(path), fix="give the path of a Python file")
    module, elsewhere = _run(path, revision)
    return Contents.of(module, elsewhere, named), path.resolve().parent


@attrs.frozen(kw_only=True)
class Contents:
    """The experiments of a spec file by name, and the tuples, lists and mappings of them.

    One that another module has as well belongs to that one: `own` and `own_groups` are without it. Every verb that
    takes a file goes by this. Where a file stands for a tuple, `compile` takes all of it; `check` and `lock` take
    what of it is the file's own.
    """

    named: Reference
    experiments: dict[str, Experiment]
    groups: dict[str, tuple[Experiment, ...]]
    own: dict[str, Experiment]
    own_groups: dict[str, tuple[Experiment, ...]]

    @classmethod
    def of(cls, module: ModuleType, elsewhere: frozenset[int], named: Reference) -> Contents:
        """What a module has; `elsewhere` are the ids of those of its values that other modules have, too."""
        values = vars(module)
        found = {name: value for name, value in values.items() if isinstance(value, Experiment)}
        groups = {name: tuple(group) for name, value in values.items() if (group := _group(value))}
        mine = {name: group for name, group in groups.items() if id(values[name]) not in elsewhere}
        return cls(
            named=named,
            experiments=found,
            groups=groups,
            own={name: one for name, one in _distinct(found).items() if id(one) not in elsewhere},
            own_groups={name: own for name, group in mine.items() if (own := _without(group, elsewhere))},
        )

    def asked(self) -> tuple[Experiment, ...]:
        """What the reference stands for; UserError where no such thing is there, or it is unclear which."""
        name = self.named.name or self._plain()
        if name in self.groups:
            return self.groups[name]
        if name in self.experiments:
            return (self.experiments[name],)
        raise self._unknown(name) if name else self._unclear()

    def all(self) -> Iterator[tuple[str, Experiment]]:
        """(FILE or FILE:NAME, experiment) for each that the file defines by name; the one of FILE first."""
        return ((self._reference(name), one) for name, one in self.own.items())

    def arms(self) -> Iterator[tuple[str, Experiment]]:
        """The same for those that are only in a tuple, list or mapping of the file."""
        seen = {id(one) for one in self.own.values()}
        for name, group in self.own_groups.items():
            for one in _without(group, frozenset(seen)):
                seen.add(id(one))
                yield self._reference(name), one

    def _plain(self) -> str:
        """The name of what FILE alone stands for; empty where there is none, or none before others."""
        if "experiment" in self.experiments:
            return "experiment" if "experiment" in self.own or not (self.own or self.own_groups) else ""
        pools = (self.own, self.own_groups, _distinct(self.experiments), self.groups)
        first = next((list(pool) for pool in pools if pool), [])
        return first[0] if len(first) == 1 else ""

    def _reference(self, name: str) -> str:
        return str(self.named if name == self._plain() else attrs.evolve(self.named, name=name))

    def _unknown(self, name: str) -> UserError:
        known = [*self.experiments, *self.groups]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known) or 'none'}"
        return UserError(f"no experiment is called {name!r}", where=self.named.file, fix=hint)

    def _unclear(self) -> UserError:
        """FILE stands for none, or for several; all names that may be meant are told."""
        own = [*self.own, *self.own_groups]
        names = own or [*_distinct(self.experiments), *self.groups]
        fix = f"name one: {', '.join(map(self._reference, names))}" if names else "define experiment = Experiment(...)"
        what = f"the file defines {len(own)} experiments ({', '.join(names) or 'none'})"
        if names and not own:
            what = f"the file defines no experiment, and imports {len(names)} ({', '.join(names)})"
        elif "experiment" in self.experiments:
            what = f"`experiment` is of another file there, and the file has its own ({', '.join(own)})"
            fix += f"; or the other file's: {self._reference('experiment')}"
        return UserError(what, where=self.named.file, fix=fix)


def _distinct(found: dict[str, Experiment]) -> dict[str, Experiment]:
    """Each once, `experiment` before all other names that it has."""
    names = sorted(found, key=lambda name: name != "experiment")
    first = {id(found[name]): name for name in reversed(names)}
    return {name: found[name] for name in names if first[id(found[name])] == name}


def _without(group: Sequence[Experiment], ids: frozenset[int]) -> tuple[Experiment, ...]:
    return tuple(one for one in {id(one): one for one in group}.values() if id(one) not in ids)


def _group(value: object) -> list[Experiment]:
    """The experiments of a tuple, list or mapping that holds nothing else."""
    items: list[Any] = list(
        value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else []
    )
    return items if all(isinstance(item, Experiment) for item in items) else []


def _elsewhere(module: ModuleType) -> frozenset[int]:
    """The ids of a module's experiments and groups that another module has as well, under whatever name.

    What a helper keeps in a list of its own is not looked for: it may be there because the spec made it. What it keeps
    in a variable of its own is its own.
    """
    mine = {id(value) for value in vars(module).values() if isinstance(value, Experiment) or _group(value)}
    others = [one for one in list(sys.modules.values()) if one is not module and issubclass(type(one), ModuleType)]
    # Not vars(other): a module that is loaded at its first use would be loaded.
    values = chain.from_iterable(list(object.__getattribute__(other, "__dict__").values()) for other in others)
    return frozenset(mine.intersection(map(id, values)))


def _run(path: Path, revision: Export | None) -> tuple[ModuleType, frozenset[int]]:
    """Run a spec file as a module of its own; it, and what of it is `_elsewhere`.

    Its directory and the one above are importable while it runs.

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
        elsewhere = _elsewhere(module)
    if problems:
        raise UserErrors([as_error(problem) for problem in problems])
    return module, elsewhere


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
